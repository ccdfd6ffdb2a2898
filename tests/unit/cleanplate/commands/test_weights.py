"""Commands for weights: list, pull, convert, verify, and selection by name."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cleanplate.base.pulls import Stage, read_pull, state_path, stop_path
from cleanplate.base.settings import Settings
from cleanplate.base.weights import PUBLISHED, Published, find, path_of
from cleanplate.errors import DigestWrong, DiskFull, UsageError, WeightsMissing
from cleanplate.local import conversions
from cleanplate.local.pull_reports import PullReport
from model.errors import WeightsRejected
from model.networks.lama import LaMaGenerator
from tests.range_server import FileServer, file_server
from tests.running import MODULE, REPOSITORY, clean_environment, cleanplate, until
from tests.servers import free_port


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network as a training checkpoint."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("foreign") / "best.ckpt"
    network = LaMaGenerator(ngf=16, n_blocks=2)
    torch.save({"state_dict": {f"generator.{name}": value for name, value in network.state_dict().items()}}, path)
    return path


@pytest.fixture
def server(checkpoint: Path) -> Iterator[FileServer]:
    with file_server(checkpoint.read_bytes()) as here:
        yield here


@pytest.fixture
def known(server: FileServer) -> Published:
    """Weights that the server publishes."""
    return Published("little", server.url, f"md5:{hashlib.md5(server.data).hexdigest()}", "a test", "CC0-1.0")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return cleanplate(*arguments, settings={"CLEANPLATE_HOME": str(settings.home)})


def sentence(ended: subprocess.CompletedProcess[str]) -> str:
    """The single line of a refused command."""
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    return line


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith((".lock", ".pull.json"))}


def told(settings: Settings, name: str = "big-lama") -> tuple[Stage, str] | None:
    """What a pull has told of itself last."""
    pull = read_pull(state_path(settings, name))
    return pull and (pull.stage, pull.code)


def test_pulled_weights_are_converted_and_told_by_their_digest(known: Published, settings: Settings) -> None:
    out = path_of(settings, known.name)
    made = conversions.pull(known, out, on_progress=lambda *_: None)
    assert names(out.parent) == {"little.safetensors", "little.safetensors.sha256"}
    assert made.parameters == sum(p.numel() for p in LaMaGenerator(ngf=16, n_blocks=2).parameters())
    assert (made.description.licence, made.description.source) == ("CC0-1.0", known.provenance)
    assert made.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    subprocess.run(["sha256sum", "--check", "--quiet", f"{out.name}.sha256"], cwd=out.parent, check=True)
    assert conversions.verify(out) == made
    assert settings.home.stat().st_mode & 0o077 == 0
    assert out.stat().st_mode & 0o777 == 0o644


def test_a_pull_that_is_killed_goes_on_where_it_was(known: Published, server: FileServer, settings: Settings) -> None:
    server.go_on = threading.Event()
    out = path_of(settings, known.name)
    partial = out.with_name("little.partial")
    half = len(server.data) // 2
    program = (
        "import sys; from pathlib import Path; from cleanplate.base import weights; "
        "from cleanplate.local import conversions; "
        "known = weights.Published('little', sys.argv[1], sys.argv[2], '', ''); "
        "conversions.pull(known, Path(sys.argv[3]), on_progress=lambda *_: None)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, known.url, known.digest, str(out)], cwd=REPOSITORY, env=clean_environment({})
    )
    try:
        # A killed process loses its buffered bytes; a part of the half is on disk.
        until(lambda: partial.exists() and partial.stat().st_size > half // 2, "nothing arrived")
        with pytest.raises(UsageError, match="is running: wait for it"):
            conversions.pull(known, out, on_progress=lambda *_: None)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    server.go_on.set()
    server.go_on = None
    arrived = partial.stat().st_size
    assert 0 < arrived <= half
    assert not out.exists()

    conversions.pull(known, out, on_progress=lambda *_: None)
    assert [headers.get("range") for headers in server.requests] == [None, f"bytes={arrived}-"]
    assert names(out.parent) == {"little.safetensors", "little.safetensors.sha256"}


def test_a_pull_tells_how_far_it_is_and_stops_when_it_is_asked_to(server: FileServer, settings: Settings) -> None:
    server.go_on = threading.Event()
    state = state_path(settings, "big-lama")
    process = subprocess.Popen(
        [*MODULE, "weights", "pull", "big-lama"],
        cwd=REPOSITORY,
        env=clean_environment({"CLEANPLATE_HOME": str(settings.home), "CLEANPLATE_WEIGHTS_MIRROR": server.url}),
    )
    try:

        def half() -> bool:
            pull = read_pull(state)
            return pull is not None and pull.arrived > 0 and pull.total == len(server.data)

        until(half, "the pull told nothing")
        stop_path(state).touch()
        assert process.wait(60) != 0
    finally:
        process.kill()
        process.wait()
    assert told(settings) == (Stage.STOPPED, "")
    assert not stop_path(state).exists()
    assert names(state.parent) == {"big-lama.partial", "big-lama.partial.version"}


def test_a_pull_that_ends_well_leaves_no_state(known: Published, settings: Settings) -> None:
    state = state_path(settings, known.name)
    state.parent.mkdir(parents=True)
    with PullReport(state) as report:
        report.note(3, 9)
        pull = read_pull(state)
        assert pull is not None and pull.stage.runs
    assert not state.exists()
    conversions.pull(known, path_of(settings, known.name), on_progress=report.note, observed=PullReport(state))
    assert not state.exists()


def test_a_disk_without_room_is_told_before_anything_is_written(
    known: Published, server: FileServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(settings.home.parent)._replace(free=2 * len(server.data) - 1)
    monkeypatch.setattr("cleanplate.local.conversions.shutil.disk_usage", lambda _: usage)
    out = path_of(settings, known.name)
    with pytest.raises(DiskFull, match=r"There is no room for \d+ MB in .*make room"):
        conversions.pull(known, out, on_progress=lambda *_: None, observed=PullReport(state_path(settings, known.name)))
    assert told(settings, known.name) == (Stage.FAILED, "disk_full")
    assert out.with_name("little.partial").stat().st_size == 0
    monkeypatch.undo()
    conversions.pull(known, out, on_progress=lambda *_: None)
    assert out.exists()


def test_a_network_with_values_that_are_not_finite_is_not_left_behind(tmp_path: Path, settings: Settings) -> None:
    network = LaMaGenerator(ngf=16, n_blocks=2)
    state = {f"generator.{name}": value / 0 * 0 for name, value in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "nan.ckpt")
    out = path_of(settings, "nan")
    out.parent.mkdir(parents=True)
    with pytest.raises(WeightsRejected):
        conversions.convert(tmp_path / "nan.ckpt", out, source="", licence="")
    assert names(out.parent) == set()


def test_a_download_that_is_no_network_is_refused(known: Published, server: FileServer, settings: Settings) -> None:
    server.data = b"a page that says sorry"
    known = replace(known, digest=f"md5:{hashlib.md5(server.data).hexdigest()}")
    with pytest.raises(WeightsRejected):
        conversions.pull(known, path_of(settings, known.name), on_progress=lambda *_: None)
    assert not path_of(settings, known.name).exists()


def test_pull_refuses_another_file_a_404_and_an_absent_server_in_one_line(
    server: FileServer, settings: Settings
) -> None:
    assert "Do not use it" in sentence(run(settings, "weights", "pull", "big-lama", "--from", server.url))
    assert names(settings.home / "weights") == set()
    assert told(settings) == (Stage.FAILED, "digest_wrong")
    server.statuses = [404]
    assert "answered 404" in sentence(run(settings, "weights", "pull", "big-lama", "--from", server.url))
    assert told(settings) == (Stage.FAILED, "download_refused")
    absent = sentence(run(settings, "weights", "pull", "big-lama", "--from", f"http://127.0.0.1:{free_port()}/a.pt"))
    assert "cleanplate weights convert a.pt" in absent
    assert told(settings) == (Stage.FAILED, "download_unreachable")
    assert "there are big-lama" in sentence(run(settings, "weights", "pull", "huge-lama"))


def test_a_converted_file_is_listed_verified_and_not_overwritten(checkpoint: Path, settings: Settings) -> None:
    made = run(settings, "weights", "convert", str(checkpoint), "--licence", "CC0-1.0", "--source", "here [1]")
    assert made.returncode == 0, made.stderr
    assert run(settings, "weights", "verify", "best").stdout == made.stdout
    for part in ("lama", "ngf=16, n_blocks=2", "here [1]", "CC0-1.0"):
        assert part in made.stdout
    assert "exists" in sentence(run(settings, "weights", "convert", str(checkpoint)))
    assert run(settings, "weights", "convert", str(checkpoint), "--force").returncode == 0

    (settings.home / "weights" / "broken.safetensors").write_bytes(b"not weights")
    rows = {line.split()[0]: line for line in run(settings, "weights", "list").stdout.splitlines()}
    assert rows.keys() == {"name", "cleanplate-small", "best", "broken", "big-lama"}
    assert "shipped" in rows["cleanplate-small"]
    assert f"best.ckpt, sha256:{hashlib.sha256(checkpoint.read_bytes()).hexdigest()}" in rows["best"]
    assert "damaged" in rows["broken"]
    assert "to be pulled" in rows["big-lama"]


def test_verify_finds_a_changed_file(checkpoint: Path, tmp_path: Path, settings: Settings) -> None:
    out = tmp_path / "w.safetensors"
    conversions.convert(checkpoint, out, source="", licence="")
    data = bytearray(out.read_bytes())
    data[-1] ^= 1
    out.write_bytes(data)
    with pytest.raises(DigestWrong, match="not the expected file"):
        conversions.verify(out)
    assert "Do not use it" in sentence(run(settings, "weights", "verify", str(out)))


def test_convert_and_verify_refuse_what_is_no_network_in_one_line(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "text.ckpt").write_text("not weights")
    assert "text.ckpt" in sentence(run(settings, "weights", "convert", str(tmp_path / "text.ckpt")))
    assert "no file" in sentence(run(settings, "weights", "convert", str(tmp_path / "absent.ckpt")))
    assert "text.ckpt" in sentence(run(settings, "weights", "verify", str(tmp_path / "text.ckpt")))
    out = tmp_path / "absent" / "w.safetensors"
    assert "no folder" in sentence(run(settings, "weights", "convert", str(tmp_path / "text.ckpt"), "-o", str(out)))


def test_published_files_are_known_by_their_digest(
    checkpoint: Path, known: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert conversions.publication(checkpoint) is None
    monkeypatch.setitem(PUBLISHED, known.name, known)
    assert conversions.publication(checkpoint) == known


def test_weights_are_chosen_by_a_file_or_a_name(tmp_path: Path, settings: Settings) -> None:
    def found(asked: str) -> Path | None:
        return find(settings.model_copy(update={"weights": asked}))

    (settings.home / "weights").mkdir(parents=True)
    mine = path_of(settings, "mine")
    for file in (mine, tmp_path / "elsewhere.safetensors"):
        file.write_bytes(b"")
    assert found("") is None
    assert found("cleanplate-small") is None
    assert found("mine") == mine
    assert found(str(tmp_path / "elsewhere.safetensors")) == tmp_path / "elsewhere.safetensors"
    for absent, said in (
        ("big-lama", "run `cleanplate weights pull big-lama`"),
        ("mime", "known are big-lama, cleanplate-small, mine"),
        ("mine.safetensors", "no weights file mine.safetensors"),
        ("../weights/mine", "no weights file"),
    ):
        with pytest.raises(WeightsMissing, match=said):
            found(absent)


def test_a_worker_and_the_service_say_what_is_missing_and_end(tmp_path: Path) -> None:
    for command in ("worker", "up"):
        ended = cleanplate(
            command, settings={"CLEANPLATE_HOME": str(tmp_path / "home"), "CLEANPLATE_WEIGHTS": "big-lama",
                               "CLEANPLATE_PORT": "0"},
        )  # fmt: skip
        assert "cleanplate weights pull big-lama" in sentence(ended)
