"""A folder that cannot be written to is one line with a way out, in every command that writes there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cleanplate.base.files import make_folder, make_home_folder, replacing, require_writable
from cleanplate.cli import app
from cleanplate.errors import FolderUnusable
from tests.running import REPOSITORY, cleanplate

#: A folder of the kernel, where root too can make nothing (Linux).
KERNEL = Path("/proc/sys")
SAMPLE = min((REPOSITORY / "samples" / "marked").iterdir())
MASK = REPOSITORY / "samples" / "masks" / SAMPLE.name
#: Commands that write into the home folder, with the servers of the embedded default.
AT_HOME = (
    "serve", "dispatch", "worker", "migrate", "keys list", "tenants list", "audit verify", "reconcile", "pause",
    "weights pull big-lama",
)  # fmt: skip


@pytest.fixture
def no_folder(tmp_path: Path) -> Path:
    """A folder below a file: nobody can make it."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "folder"


def line_of(folder: Path) -> str:
    return f"cleanplate: Nothing can be written to {folder}"


@pytest.mark.parametrize("command", AT_HOME)
def test_a_command_names_the_home_folder_that_it_cannot_write(
    command: str, no_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEANPLATE_HOME", str(no_folder))
    ended = CliRunner().invoke(app, command.split())
    assert ended.exit_code == 2, ended.exception
    assert line_of(no_folder) in ended.stderr
    assert "name another folder with CLEANPLATE_HOME." in ended.stderr


def test_up_names_the_home_folder_that_it_cannot_write(no_folder: Path) -> None:
    ended = cleanplate("up", "--port", "0", settings={"CLEANPLATE_HOME": str(no_folder)})
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(line_of(no_folder))


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is Linux'")
@pytest.mark.parametrize(
    "command",
    [
        f"inpaint {SAMPLE} {MASK} -o {KERNEL}/{SAMPLE.name}",
        f"template estimate {SAMPLE.parent} -o {KERNEL}/mark.template",
        f"weights convert {SAMPLE} -o {KERNEL}/a.safetensors",
    ],
)
def test_a_result_that_cannot_be_written_is_told_before_the_work(command: str) -> None:
    ended = CliRunner().invoke(app, command.split())
    assert ended.exit_code == 2, ended.exception
    assert line_of(KERNEL) in ended.stderr
    assert "choose another folder." in ended.stderr


def test_a_folder_is_made_with_those_above_it_and_the_home_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "folder"
    make_home_folder(folder)
    make_home_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.iterdir()) == []


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match=r"File exists.*right to write there, or choose another folder\."):
        make_folder(tmp_path / "file")
    with pytest.raises(FolderUnusable, match="Not a directory"), replacing(tmp_path / "file" / "result.png"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user")
def test_a_folder_of_another_user_is_found_before_the_first_file(tmp_path: Path) -> None:
    """As with a volume that a container's user does not own."""
    folder = tmp_path / "of-root"
    folder.mkdir(mode=0o755)
    require_writable(folder)
    program = (
        "import os, sys, pathlib; from cleanplate.base.files import make_home_folder\n"
        "folder = os.open(sys.argv[1], os.O_RDONLY); os.fchdir(folder); os.setuid(65534)\n"
        "make_home_folder(pathlib.Path('.'))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, folder], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert "FolderUnusable: Nothing can be written to . (Permission denied): give the user 65534" in ended.stderr
