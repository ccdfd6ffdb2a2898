"""Names of a hostile service lead no client out of its folder, on any system."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.client.answers import ResultLine
from cleanplate.client.http import Client
from cleanplate.client.job import result_path
from tests.running import cleanplate
from tests.unit.cleanplate.client.conftest import Answer, Server, as_json
from tests.unit.cleanplate.client.test_http import JOB

NAMES = [
    *("../../etc/cron.d/x", "/etc/passwd", "..", ".", "", "a/../../b.png", "....//....//b.png", "./../b.png"),
    "//host/b",
    *("..\\..\\b.png", "C:\\Windows\\b.png", "C:b.png", "\\\\host\\share\\b.png", "\\\\?\\C:\\b.png", "b.png:hidden"),
    *("CON", "con.png", "NUL.tar.gz", "aux ", "COM1.png", "lpt9", "COM¹.png", "CONIN$", "folder/PRN/b.png", "nul..png"),
    *(".ssh/authorized_keys", ".config/autostart/x.desktop", ".bashrc", "a/.git/hooks/pre-commit", "~/b.png"),
    *("b.png ", "b.png.", "b\x00.png", "b\r\n.png", "b\x1b[2J.png", "a\u202egnp.exe", "b|c.png", "b*?.png", '"b".png'),
    *("é" * 300 + ".png", "a/" * 200 + "b.png", "file:///etc/passwd", "%2e%2e/b.png", "..%2fb.png", "．．/b.png"),
]  # fmt: skip


def line(number: int, name: str) -> dict[str, object]:
    """A line of results in which each field with a name is hostile; older services lack some of the fields."""
    paths: list[str | None] = [name, None, f"folder/{name}", name]
    files: list[str | None] = [name, name, name, None]
    return {
        "image_id": f"img_{number}",
        "custom_id": name,
        "name": name,
        "path": paths[number % 4],
        "file_name": files[number % 4],
        "position": number,
        "content_type": "image/png",
        "sha256": None,
    }


def assert_inside(path: PurePosixPath) -> None:
    assert path.parts, path
    assert not path.is_absolute()
    assert path.name not in {"", ".", ".."}
    windows = PureWindowsPath(str(path))
    assert not windows.drive and not windows.root, path
    assert len(windows.parts) == len(path.parts), path
    for part in path.parts:
        assert not part.startswith("."), path
        assert not part.endswith((" ", ".")), path
        assert not set(part) & set('<>:"|?*\\'), path
        assert part.isprintable() or not any(ord(character) < 32 for character in part), path
        assert len(part.encode()) <= 255, path
        assert part.partition(".")[0].rstrip().casefold() not in {"con", "prn", "aux", "nul", "com1", "lpt9", "com¹"}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_leads_into_the_folder(name: str) -> None:
    for number in range(4):
        assert_inside(result_path(ResultLine.model_validate(line(number, name))))


@given(st.text(st.sampled_from("./\\: ~aCONul1\x00\x1fé")), st.integers(0, 3))
def test_any_name_leads_into_the_folder(name: str, number: int) -> None:
    assert_inside(result_path(ResultLine.model_validate(line(number, name))))


@pytest.fixture
def hostile(server: Server) -> Server:
    """A service whose job has a result under each of the names, four times."""
    lines = [line(number, name) for number, name in enumerate(name for name in NAMES for _ in range(4))]
    done = {**JOB["counts"], "queued": 0, "succeeded": len(lines)}  # type: ignore[dict-item]

    def answer(_method: str, path: str, _body: bytes) -> Answer:
        if path.startswith("/v1/jobs/job_1/results"):
            rows = "".join(json.dumps(row) + "\n" for row in lines).encode()
            return Answer(200, rows, {"content-type": "application/x-ndjson"})
        if path.startswith("/v1/jobs/job_1/images"):
            return as_json(200, {"data": [], "next_cursor": None})
        if path.startswith("/v1/images/"):
            return Answer(302, b"", {"location": f"{server.url}/blobs/{path.split('/')[3]}"})
        if path.startswith("/blobs/"):
            return Answer(200, b"a picture")
        return as_json(200, {**JOB, "state": "completed", "total": len(lines), "counts": done})

    server.answer = answer
    return server


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_client_writes_into_its_folder_alone(hostile: Server, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "down" / "out"
    with Client(hostile.url, "cp_key") as client:
        files = client.handle("job_1").download(out)
    assert len({*files.values()}) == 4 * len(NAMES)
    assert {*files_below(tmp_path)} == {*files.values()}
    assert all(path.is_relative_to(out) for path in files.values())


def test_the_command_writes_into_its_folder_alone(hostile: Server, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "down" / "out"
    settings = {"CLEANPLATE_API_KEY": "cp_key", "CLEANPLATE_URL": hostile.url, "HOME": str(tmp_path)}
    done = cleanplate("download", "job_1", "--out", str(out), settings=settings)
    assert done.returncode == 0, done.stderr
    assert len(files_below(out)) == 4 * len(NAMES)
    assert {*files_below(tmp_path)} == {*files_below(out)}
