"""The commands in the documents exist, and their links lead to existing targets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from cleanplate.base.settings import known_variables
from cleanplate.cli import app
from tests.running import REPOSITORY

DOCUMENTS = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "samples/README.md",
    *sorted(f"docs/{path.name}" for path in REPOSITORY.glob("docs/*.md")),
]
TEXTS = {name: (REPOSITORY / name).read_text() for name in DOCUMENTS}
SHELL = [
    line.split("   #")[0].split(" > ")[0].strip()
    for text in TEXTS.values()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip()
]


def parsed(words: list[str]) -> None:
    """Fail unless the command line parses these words; no command runs."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("cleanplate", list(words), resilient_parsing=False)
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("line", [line for line in SHELL if "cleanplate " in line and not line.startswith("docker")])
def test_commands_of_the_documents_are_understood(line: str) -> None:
    words = [word for word in shlex.split(line) if not word.startswith("CLEANPLATE_")]
    if words[0] == "cleanplate":
        parsed(words[1:])


def test_make_targets_of_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = {target for text in TEXTS.values() for target in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)}
    assert named >= {"demo", "test", "lint"}
    assert named <= targets


def test_variables_of_the_documents_are_settings_or_the_clients() -> None:
    known = known_variables()
    for name, text in TEXTS.items():
        assert set(re.findall(r"CLEANPLATE_[A-Z0-9_]+", text)) <= known, name


def test_links_and_folders_of_the_documents_are_there() -> None:
    for name, text in TEXTS.items():
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (REPOSITORY / name).parent.joinpath(target).exists(), f"{name}: {target}"
    for folder in re.findall(r"^\| `([a-z]+/)` \|", TEXTS["README.md"], re.MULTILINE):
        assert (REPOSITORY / folder).is_dir(), folder
    assert set(re.findall(r"@(samples/\S+)", TEXTS["README.md"]))
    for path in re.findall(r"@(samples/\S+)", TEXTS["README.md"]):
        assert (REPOSITORY / path).is_file(), path


def test_the_python_example_of_the_readme_compiles_and_uses_what_the_client_has() -> None:
    from cleanplate.client.http import Client

    (example,) = re.findall(r"```python\n(.*?)```", TEXTS["README.md"], re.DOTALL)
    compile(example, "README.md", "exec")
    for method in re.findall(r"client\.([a-z]+)\(", example):
        assert callable(getattr(Client, method)), method


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = Path(REPOSITORY / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_lines_of_the_documents_fit_a_screen() -> None:
    """120 columns; rows of tables, pictures and commands cannot be broken."""
    for name, text in TEXTS.items():
        prose = re.sub(
            r"^```.*?^```$", lambda fenced: "\n" * fenced[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE
        )
        too_long = [
            f"{name}:{number}"
            for number, line in enumerate(prose.splitlines(), 1)
            if len(line) > 120 and not line.startswith(("|", "!["))
        ]
        assert not too_long


def test_every_document_is_on_the_site() -> None:
    site = (REPOSITORY / "mkdocs.yml").read_text()
    for path in REPOSITORY.glob("docs/*.md"):
        assert f": {path.name}\n" in site, path.name
