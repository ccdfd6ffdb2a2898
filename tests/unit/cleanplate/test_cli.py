"""The command line: complete and fast help, and errors in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cleanplate.base.settings import Settings
from cleanplate.cli import app
from storage.audit_heads import audit_key
from storage.database import Database
from storage.ledger.operations.audit import chain
from tests.running import cleanplate
from tests.servers import free_port

RIGHTS = ("--rights-basis", "owner", "--attested-by", "Jo Doe", "--rights-reference", "own photographs")


def commands() -> Iterator[tuple[str, Any]]:
    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            yield name, command
        else:
            for word, subcommand in subcommands.items():
                yield from walk(f"{name} {word}".strip(), subcommand)

    yield from walk("", typer.main.get_command(app))


COMMANDS = dict(commands())


def test_the_commands_of_the_service_are_there() -> None:
    assert set(COMMANDS) == {
        "up", "link", "submit", "watch", "download", "sync", "approve", "demo", "reconcile", "jobs list", "jobs find",
        "jobs label", "jobs judge", "jobs redo", "jobs show", "jobs cancel",
        "jobs retry", "jobs pause", "jobs resume", "jobs delete", "serve", "worker", "dispatch", "migrate",
        "migrate-home", "healthy", "settings", "doctor", "pause", "resume", "tenants weight",
        "keys create", "keys list", "keys revoke", "audit export", "tenants list", "tenants quota", "audit verify",
        "audit job", "usage",
        "inpaint", "train", "template estimate", "template apply", "template from-logo", "template from-mark",
        "weights list", "weights pull", "weights convert", "weights verify",
    }  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert f"cleanplate {name}" in (command.help or "").split("Example:")[-1]
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, cleanplate.cli; "
        "print({'torch', 'sqlalchemy', 'flask', 'celery', 'boto3', 'cv2', 'httpx'} & sys.modules.keys())"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "set()"


def test_a_wrong_setting_is_one_line_and_status_2() -> None:
    ended = cleanplate("serve", settings={"CLEANPLATE_PORT": "many", "CLEANPLATE_DEVICE": "abacus"})
    assert ended.returncode == 2
    assert [line.split(": ")[1] for line in ended.stderr.splitlines()] == ["CLEANPLATE_PORT", "CLEANPLATE_DEVICE"]


def test_a_ledger_that_was_never_migrated_is_a_sentence(tmp_path: Path) -> None:
    ended = cleanplate("keys", "list", settings={"CLEANPLATE_HOME": str(tmp_path)})
    assert ended.returncode == 2
    assert "cleanplate migrate" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_submitting_without_a_key_says_where_one_comes_from(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    ended = cleanplate(
        "submit", str(tmp_path), "--mask", str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), *RIGHTS,
        settings={"CLEANPLATE_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert ended.returncode == 2
    assert "CLEANPLATE_API_KEY" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_key_of_the_embedded_service_goes_to_no_other_machine(tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text("cp_local")
    ended = cleanplate(
        "jobs", settings={"CLEANPLATE_HOME": str(tmp_path), "CLEANPLATE_URL": "https://cleanplate.example"}
    )
    assert ended.returncode == 2
    assert "no API key for https://cleanplate.example" in ended.stderr


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    settings = {"CLEANPLATE_HOME": str(tmp_path)}
    assert cleanplate("migrate", settings=settings).returncode == 0
    made = cleanplate("keys", "create", "import", "--tenant", "acme", settings=settings)
    secret = made.stdout.strip()
    assert secret.startswith("cp_")

    listed = cleanplate("keys", "list", settings=settings).stdout
    assert "import" in listed
    assert secret not in listed
    key_id = next(word for word in made.stderr.split() if word.startswith("key_"))
    assert cleanplate("keys", "revoke", key_id, settings=settings).returncode == 0
    again = cleanplate("keys", "revoke", "key_unknown", settings=settings)
    assert (again.returncode, "key_unknown" in again.stderr) == (2, True)


def test_the_ledger_goes_down_and_up_again(tmp_path: Path) -> None:
    settings = {"CLEANPLATE_HOME": str(tmp_path)}
    for revision in ("head", "base", "head"):
        ended = cleanplate("migrate", "--revision", revision, settings=settings)
        assert ended.returncode == 0, ended.stderr
    assert cleanplate("keys", "list", settings=settings).returncode == 0


@pytest.mark.parametrize(
    ("program", "complaint"),
    [("serve", "does not answer"), ("dispatch", "no dispatcher leads"), ("worker", "`cleanplate up` watches it")],
)
def test_a_program_that_does_not_run_is_not_healthy(program: str, complaint: str, tmp_path: Path) -> None:
    settings = {"CLEANPLATE_HOME": str(tmp_path), "CLEANPLATE_PORT": str(free_port())}
    assert cleanplate("migrate", settings=settings).returncode == 0
    ended = cleanplate("healthy", program, settings=settings)
    assert ended.returncode == 1
    assert complaint in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def chain_as_the_leader(home: Path) -> None:
    settings = Settings(home=home)
    database = Database.connect(settings.sqlalchemy_url)
    chain(database, audit_key(settings))
    database.close()


def test_the_audit_log_is_exported_and_verified(tmp_path: Path) -> None:
    settings = {"CLEANPLATE_HOME": str(tmp_path)}
    assert cleanplate("migrate", settings=settings).returncode == 0
    for name in ("one", "two"):
        assert cleanplate("keys", "create", name, "--tenant", "acme", settings=settings).returncode == 0
    unchained = cleanplate("audit", "verify", settings=settings)
    assert (unchained.returncode, unchained.stderr) == (0, "0 entries, all as they were written.\n")
    chain_as_the_leader(tmp_path)
    whole = cleanplate("audit", "verify", settings=settings)
    assert (whole.returncode, whole.stderr) == (0, "2 entries, all as they were written.\n")
    head = whole.stdout.strip()
    assert cleanplate("audit", "verify", "--head", head, settings=settings).returncode == 0

    exported = tmp_path / "audit.jsonl"
    exported.write_text(cleanplate("audit", "export", "--tenant", "acme", settings=settings).stdout)
    assert cleanplate("audit", "verify", str(exported), settings=settings).stdout.strip() == head
    first, second = exported.read_text().splitlines(keepends=True)
    exported.write_text(first.replace('"one"', '"won"') + second)
    changed = cleanplate("audit", "verify", str(exported), settings=settings)
    assert (changed.returncode, "entry 1: the entry is not as it was written" in changed.stderr) == (1, True)
    exported.write_text(first)
    cut_off = cleanplate("audit", "verify", str(exported), "--head", head, settings=settings)
    assert (cut_off.returncode, "entry 2" in cut_off.stderr) == (1, True)
