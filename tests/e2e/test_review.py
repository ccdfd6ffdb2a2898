"""The command line without a painted mask: the mark is found, reviewed and approved, or searched as text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cleanplate.client.answers import Rights
from cleanplate.client.http import Client
from cleanplate.errors import ClientError
from tests.catalogue import pixels_of
from tests.embedded import Embedded, embedded
from tests.faults.hold import Hold, hold_in
from tests.marked import logo, marked_pictures
from tests.running import cleanplate, kill, processes_with, until
from tests.texts import laid, letters, printed

RIGHTS_OPTIONS = ["--rights-basis", "owner", "--attested-by", "Jo Doe", "--rights-reference", "made for a test"]
RIGHTS = Rights(basis="owner", attested_by="Jo Doe", reference="made for a test")


@pytest.fixture(scope="module")
def hold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hold]:
    with hold_in(tmp_path_factory.mktemp("hold")) as hold:
        yield hold


@pytest.fixture(scope="module")
def up(hold: Hold, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("review")) as service:
        yield service


def submit(up: Embedded, *arguments: object) -> tuple[int, str, str]:
    settings = {"CLEANPLATE_URL": up.url, "CLEANPLATE_API_KEY": up.key}
    ended = cleanplate("submit", *(str(argument) for argument in arguments), *RIGHTS_OPTIONS, settings=settings)
    return ended.returncode, ended.stdout, ended.stderr


def marked(folder: Path, count: int = 30) -> Path:
    folder.mkdir()
    for number, (picture, _) in enumerate(marked_pictures(count)):
        Image.fromarray(picture).save(folder / f"{number:02}.png")
    return folder


def worker_processes(up: Embedded) -> list[int]:
    return [pid for pid, line in processes_with(f"CLEANPLATE_HOME={up.home}").items() if "workers" in line]


def test_a_mark_is_found_looked_at_and_approved_by_the_same_command(up: Embedded, tmp_path: Path) -> None:
    folder, out = marked(tmp_path / "in"), tmp_path / "clean"
    status, output, errors = submit(up, folder, "--find-mark", "--out", out)
    assert status == 3, errors
    assert "--approve" in output
    assert "cleanplate approve job_" in output
    assert {"mask.png", "before-1.png", "after-1.png"} <= {path.name for path in (out / "review" / "mark-1").iterdir()}
    # The same command again changes nothing: only --approve approves.
    assert submit(up, folder, "--find-mark", "--out", out)[0] == 3
    status, output, errors = submit(up, folder, "--find-mark", "--approve", "--out", out)
    assert (status, "30 of 30 images" in output) == (0, True), errors
    assert len(list(out.glob("*.png"))) == 30


def test_a_logos_own_file_finds_it_in_few_pictures(up: Embedded, tmp_path: Path) -> None:
    folder, out, file = marked(tmp_path / "in", 3), tmp_path / "clean", tmp_path / "logo.png"
    Image.fromarray(logo()).save(file)
    status, output, errors = submit(up, folder, "--logo", file, "--out", out)
    assert status == 3, errors
    assert "--approve" in output
    status, output, errors = submit(up, folder, "--logo", file, "--approve", "--out", out)
    assert (status, "3 of 3 images" in output) == (0, True), errors
    for path, (picture, original) in zip(sorted(out.glob("*.png")), marked_pictures(3), strict=True):
        zone = np.abs(picture.astype(int) - original).max(axis=2) > 0
        before, after = (
            np.square(one.astype(float) - original)[zone].mean() for one in (picture, pixels_of(path.read_bytes()))
        )
        assert after < before / 10


def test_text_marks_are_taken_off_and_print_stays(up: Embedded, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "clean"
    folder.mkdir()
    picture, ink = laid(printed(), letters("Doe Shirts"), (0.7, 0.85))
    Image.fromarray(picture).save(folder / "marked.png")
    Image.fromarray(printed(2)).save(folder / "bare.png")
    status, _, errors = submit(up, folder, "--text", "doe shirts", "--area", "bottom", "--out", out)
    assert status == 0, errors
    assert (out / "bare.png").read_bytes() == (folder / "bare.png").read_bytes()
    result = pixels_of((out / "marked.png").read_bytes())
    assert np.array_equal(result[:200], picture[:200])
    assert np.abs(result.astype(int) - picture)[ink].mean() > 20


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--find-mark", "--text", "Doe"],
        ["--find-mark", "--logo", "logo.png"],
        ["--logo", "missing.png"],
        ["--auto-approve", "--text", "Doe"],
        ["--area", "1,2"],
        ["--any-text", "--text", "Doe"],
    ],
)
def test_contradictory_masks_are_refused_in_one_line(up: Embedded, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(printed()).save(tmp_path / "in" / "a.png")
    status, _, errors = submit(up, tmp_path / "in", *arguments, "--out", tmp_path / "out")
    assert (status, len(errors.splitlines())) == (2, 1), errors


def test_a_job_outlives_its_worker_while_it_is_looked_at_and_the_api_while_it_is_approved(
    up: Embedded, hold: Hold, tmp_path: Path
) -> None:
    pictures = sorted(marked(tmp_path / "in", 40).iterdir())
    with Client(up.url, up.key) as client:
        with hold.holding("all"):
            job = client.submit(pictures, mask={"mode": "auto"}, rights=RIGHTS)
            (template,) = client.templates.list(job_id=job.id)
            until(lambda: client.templates.get(template.id).attempt, "no worker began the estimate")
            for pid in worker_processes(up):
                kill(pid)
        job.wait(or_review=True)
        estimated = client.templates.get(template.id)
        assert (job.state, estimated.state, estimated.attempt) == ("needs_review", "needs_review", 2)

        def approve() -> None:
            with suppress(ClientError):
                client.approve(job.id)

        approval = threading.Thread(target=approve)
        approval.start()
        for pid, line in processes_with(f"CLEANPLATE_HOME={up.home}").items():
            if "gunicorn" in line or line.endswith("cleanplate serve"):
                kill(pid)
        approval.join()
        # The job was approved once or not at all; a second approval is right in both cases.
        until(lambda: approve_again(client, job.id), "the API did not come back")
        job.wait()
        assert (job.state, job.counts.succeeded, job.counts.failed) == ("completed", 40, 0)
        assert client.templates.get(template.id).state == "ready"


def approve_again(client: Client, job_id: str) -> bool:
    """Approve a job; whether the service accepted or had accepted it."""
    with suppress(ClientError):
        return client.approve(job_id).state in {"queued", "running", "completed"}
    return False
