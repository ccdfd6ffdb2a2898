"""Jobs that search for their mark, from the command line: watched, approved by a person or automatically."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from cleanplate.client.http import Client
from tests.catalogue import picture
from tests.e2e.test_review import RIGHTS, marked, submit
from tests.embedded import Embedded
from tests.running import cleanplate, running, until


def settings_of(up: Embedded) -> dict[str, str]:
    return {"CLEANPLATE_URL": up.url, "CLEANPLATE_API_KEY": up.key}


def test_watch_prints_once_that_a_job_waits_and_ends_with_the_approved_job(up: Embedded, tmp_path: Path) -> None:
    with Client(up.url, up.key) as client:
        job = client.submit(sorted(marked(tmp_path / "in").iterdir()), mask={"mode": "auto"}, rights=RIGHTS)
    settings = settings_of(up)
    with running("watch", job.id, settings=settings, log_path=tmp_path / "watch.log") as watching:
        waits = f"Job {job.id} waits for you (needs_review). Look at {up.url}/jobs/{job.id}"
        until(lambda: waits in watching.log, lambda: f"no message that the job waits:\n{watching.log}")
        # The command stands on one line, so that it can be copied.
        assert f"`cleanplate approve {job.id}`" in watching.log
        assert watching.process.poll() is None
        approved = cleanplate("approve", job.id, settings=settings)
        assert approved.returncode == 0, approved.stderr
        assert f"`cleanplate watch {job.id}`" in approved.stdout
        assert watching.process.wait(120) == 0, watching.log
        assert f"{job.id} is completed: 30 succeeded." in watching.log
        assert watching.log.count("waits for you") == 1
    # A second approval changes nothing; an unknown job is refused with one line.
    assert cleanplate("approve", job.id, settings=settings).returncode == 0
    refused = cleanplate("approve", "job_00000000000000000000000000000000", settings=settings)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr


def test_a_sure_mark_begins_without_a_person(up: Embedded, tmp_path: Path) -> None:
    status, output, errors = submit(
        up, marked(tmp_path / "in"), "--find-mark", "--auto-approve", "--out", tmp_path / "clean"
    )
    assert (status, "30 of 30 images" in output) == (0, True), errors
    assert not (tmp_path / "clean" / "review").exists()


def test_a_mark_that_is_not_sure_waits_for_a_person_who_is_told_how_to_go_on(up: Embedded, tmp_path: Path) -> None:
    out = tmp_path / "clean"
    command = (marked(tmp_path / "in", 16), "--find-mark", "--auto-approve", "--out", out)
    status, output, errors = submit(up, *command)
    assert status == 3, errors
    assert "confidence 0.8" not in output and "confidence 0." in output
    assert "cleanplate approve job_" in output and "--approve" in output
    assert (out / "review" / "mark-1" / "mask.png").exists()
    status, output, errors = submit(up, *command, "--approve")
    assert (status, "16 of 16 images" in output) == (0, True), errors


def test_pictures_without_a_common_mark_wait_and_the_reason_is_said(up: Embedded, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for seed in range(6):
        Image.fromarray(picture(seed)).save(tmp_path / "in" / f"{seed}.png")
    status, output, errors = submit(up, tmp_path / "in", "--find-mark", "--auto-approve", "--out", tmp_path / "clean")
    assert status == 3, errors
    assert "No mark was found:" in output and "(mark_not_found)" in output
    # There is no mark to approve.
    assert "--template TEMPLATE_ID`" in output and "repeat this command" not in output
    assert not (tmp_path / "clean" / "review").exists()


def test_few_pictures_are_refused_with_a_number_and_go_on_when_they_are_forced(up: Embedded, tmp_path: Path) -> None:
    command = (marked(tmp_path / "in", 6), "--find-mark", "--out", tmp_path / "clean")
    status, output, errors = submit(up, *command)
    assert status == 3, errors
    assert "more pictures like these are needed" in output and "--force" in output
    status, output, errors = submit(up, *command, "--force")
    assert (status, "Warning: Only 6 of 6 pictures" in output) == (3, True), errors
    status, output, errors = submit(up, *command, "--force", "--approve")
    assert (status, "6 of 6 images" in output) == (0, True), errors
    assert submit(up, tmp_path / "in", "--text", "Doe", "--force", "--out", tmp_path / "no")[0] == 2
