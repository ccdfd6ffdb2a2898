"""The client against the real API as a process, which the tests kill while the client works."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from cleanplate import BoxesMask, Client, ImageOptions, JobOptions, Picture, Rights, TextMask
from cleanplate.base.image_records import ImageRecord
from cleanplate.base.reports import DeviceReport
from cleanplate.base.settings import Settings
from cleanplate.client.journal import Journal
from cleanplate.client.webhooks import verify
from cleanplate.errors import Refused, WebhookRefused
from storage.ledger.operations.devices import report_devices
from tests.api_process import kill, served
from tests.running import cleanplate, until
from tests.unit.cleanplate.live import Shop, on_a_port, pictures

RIGHTS = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")
RIGHTS_OPTIONS = ["--rights-basis", "owner", "--attested-by", "Jo Doe", "--rights-reference", "own photographs"]


@pytest.fixture
def shop(embedded_settings: Settings) -> Iterator[Shop]:
    shop = Shop(on_a_port(embedded_settings))
    yield shop
    shop.close()


@pytest.fixture
def client(shop: Shop) -> Iterator[Client]:
    with Client(shop.settings.public_url, shop.key, patience_s=60) as client:
        yield client


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_job_is_submitted_followed_and_fetched(shop: Shop, client: Client, tmp_path: Path) -> None:
    images = pictures(tmp_path / "one", "a.png", "b.jpg") + pictures(tmp_path / "two", "a.png")
    (mask,) = pictures(tmp_path, "mask.png")
    with served(shop.settings, tmp_path / "log"):
        job = client.submit(images, masks=mask, rights=RIGHTS)
        assert (job.state, job.total, job.answer.queue_position) == ("queued", 3, 1)
        changes = job.events()
        assert next(changes).state == "queued"
        shop.work(job.id)
        assert [answer.state for answer in changes][-1] == "completed"
        assert job.wait().counts.succeeded == 3

        out = tmp_path / "out"
        (foreign,) = pictures(out, "b.png")
        kept = foreign.read_bytes()
        files = job.download(out)
        # All results are PNG; a name that exists gets a number.
        assert sorted(path.name for path in files.values()) == ["a (2).png", "a.png", "b (2).png"]
        assert foreign.read_bytes() == kept
        before = {path: path.stat().st_mtime_ns for path in files.values()}
        (out / "a.png").unlink()
        done: list[int] = []
        assert client.handle(job.id).download(out, on_done=done.append) == files
        assert sum(done) == 3
        assert [path.name for path, at in before.items() if path.stat().st_mtime_ns != at] == ["a.png"]
        with pytest.raises(Refused, match="not_found"):
            list(client.events("job_0"))


def test_masks_and_options_are_models_that_come_back_as_they_were_sent(
    shop: Shop, client: Client, tmp_path: Path
) -> None:
    (image,) = pictures(tmp_path / "in", "a.png")
    mask = BoxesMask(boxes=[(0.72, 0.9, 0.25, 0.07)], units="relative")
    own = Picture(
        url="https://shop.example/b.jpg",
        mask=TextMask(mode="text", texts=["Doe Shirts"], areas=["bottom", (0, 0, 1, 0.5)]),
        options=ImageOptions(output="png"),
    )
    with served(shop.settings, tmp_path / "log"):
        job = client.submit([image, own], mask=mask, rights=RIGHTS, options=JobOptions(dilation_px=4))
        assert (job.answer.mask, job.answer.options) == (mask, JobOptions(dilation_px=4))
        first, second = job.images()
        assert (first.mask, first.options) == (None, None)
        assert (second.mask, second.options) == (own.mask, own.options)
        again = client.submit([image], mask=first.mask or job.answer.mask, rights=RIGHTS)
        assert again.answer.mask == mask


def test_waiting_outlives_the_server(shop: Shop, client: Client, tmp_path: Path) -> None:
    images = pictures(tmp_path / "in", "a.png")
    with ThreadPoolExecutor(2) as pool:
        with served(shop.settings, tmp_path / "log") as process:
            job = client.submit(images, masks=images[0], rights=RIGHTS)
            seen = threading.Event()
            waiting = pool.submit(client.wait, job.id, on_change=lambda _: seen.set())
            followed = pool.submit(lambda: [answer.state for answer in client.events(job.id)])
            assert seen.wait(30)
            kill(process)
        shop.work(job.id)
        with served(shop.settings, tmp_path / "log2"):
            assert waiting.result(120).state == "completed"
            assert followed.result(120)[-1] == "completed"
            assert len(job.download(tmp_path / "out")) == 1


def test_a_submission_outlives_the_server_and_is_one_job(shop: Shop, client: Client, tmp_path: Path) -> None:
    images = pictures(tmp_path / "in", *(f"{n}.png" for n in range(30)))
    arrived = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with served(shop.settings, tmp_path / "log") as process:
            submitted = pool.submit(
                client.submit, images, masks=images[0], rights=RIGHTS, on_uploaded=lambda _: arrived.set()
            )
            assert arrived.wait(30)
            kill(process)
        with served(shop.settings, tmp_path / "log2"):
            job = submitted.result(120)
            assert shop.jobs() == [job.id]


def test_an_interrupted_submission_goes_on_and_sends_nothing_twice(shop: Shop, client: Client, tmp_path: Path) -> None:
    images = pictures(tmp_path / "in", *(f"{n}.png" for n in range(12)))
    path = tmp_path / "journal"
    count = 0

    def interrupt(_: int) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt

    def ids() -> list[str]:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [line["file"] for line in lines if "upload" in line]

    with served(shop.settings, tmp_path / "log"):
        with pytest.raises(KeyboardInterrupt):
            client.submit(images, masks=images[0], rights=RIGHTS, journal=Journal(path), on_uploaded=interrupt)
        assert len(ids()) >= 5  # the number of further transfers depends on the scheduler
        with path.open("a") as file:
            file.write('{"file": "half a line')
        first = client.submit(images, masks=images[0], rights=RIGHTS, journal=Journal(path))
        assert sorted(ids()) == sorted(str(image) for image in images)
        # The job is not made twice either, even if the journal lacks it.
        path.write_text("".join(line for line in path.read_text().splitlines(True) if '"job"' not in line))
        again = client.submit(images, masks=images[0], rights=RIGHTS, journal=Journal(path))
        assert (again.id, shop.jobs()) == (first.id, [first.id])
        assert len(ids()) == 12
        # A changed file counts as another file, and gives another job.
        images[3].write_bytes(b"changed")
        changed = client.submit(images, masks=images[0], rights=RIGHTS, journal=Journal(path))
        assert changed.id != first.id
        assert len(ids()) == 13


def test_submit_and_watch_on_the_command_line(shop: Shop, tmp_path: Path) -> None:
    pictures(tmp_path / "in", "a.png", "b.png")
    (mask,) = pictures(tmp_path, "mask.png")
    environment = {"CLEANPLATE_URL": shop.settings.public_url, "CLEANPLATE_API_KEY": shop.key}
    with served(shop.settings, tmp_path / "log"), ThreadPoolExecutor(2) as pool:
        words = ("submit", str(tmp_path / "in"), "--mask", str(mask), "--out", str(tmp_path / "out"), *RIGHTS_OPTIONS)
        submitting = pool.submit(cleanplate, *words, settings=environment)
        (job_id,) = until(shop.jobs, "no job was made")
        watching = pool.submit(cleanplate, "watch", job_id, settings=environment)
        shop.work(job_id, bad=1, record=ImageRecord(left_out=["gain_map"]))
        submitted, watched = submitting.result(120), watching.result(120)
        assert (submitted.returncode, watched.returncode) == (1, 1), submitted.stderr + watched.stderr
        assert "1 of 2 images are clean" in submitted.stdout
        assert "image_truncated" in submitted.stderr
        lacking = "1 result lacks parts of the source: gain_map (1). The records list them (left_out).\n"
        assert submitted.stdout.endswith(lacking)
        assert watched.stdout == f"{job_id} is completed: 1 succeeded, 1 failed.\n{lacking}"
        downloaded = cleanplate("download", job_id, "--out", str(tmp_path / "out"), settings=environment)
        assert downloaded.stdout.endswith(lacking), downloaded.stderr
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]
        assert cleanplate("watch", "job_0", settings=environment).returncode == 2


def test_jobs_are_managed_on_the_command_line(shop: Shop, client: Client, tmp_path: Path) -> None:
    images = pictures(tmp_path / "in", "a.png", "b.png")
    environment = {"CLEANPLATE_URL": shop.settings.public_url, "CLEANPLATE_API_KEY": shop.key}

    def jobs(*words: str, status: int = 0) -> str:
        ended = cleanplate("jobs", *words, settings=environment)
        assert ended.returncode == status, ended.stderr
        return ended.stdout

    with served(shop.settings, tmp_path / "log"):
        job = client.submit(images, masks=images[0], rights=RIGHTS)
        other = client.submit(images, masks=images[1], rights=RIGHTS)
        assert jobs("pause", job.id) == f"{job.id} is paused.\n"
        assert job.refresh().answer.paused
        assert jobs("resume", job.id) == f"{job.id} is queued: 0 of 2 images ended.\n"
        asked = cleanplate("jobs", settings=environment)
        assert asked.stderr == "No worker is running: open jobs wait for one.\n"
        reports = [
            DeviceReport(device="cpu", host="here", state="working", told_at=0.0),
            DeviceReport(device="dispatch", host="here", state="crash_loop", reason="dispatch_down: Why.", told_at=0.0),
        ]
        report_devices(shop.database, "here-1", reports)
        asked = cleanplate("jobs", settings=environment)
        assert asked.stderr == (
            "The dispatcher is not running: open jobs wait for it. The last reason known is dispatch_down: on the "
            "service's machine, `cleanplate worker --status` and `cleanplate doctor` say more.\n"
        )
        shop.work(job.id, bad=1)
        assert "a.png  image_truncated" in jobs("show", job.id)
        assert jobs("retry", job.id) == f"{job.id} is running: 1 of 2 images ended.\n"
        assert jobs("cancel", job.id, other.id).splitlines() == [
            f"{job.id} is canceled: 2 of 2 images ended.",
            f"{other.id} is canceled: 2 of 2 images ended.",
        ]
        assert [line.split()[0] for line in jobs().splitlines()[1:]] == [other.id, job.id]
        assert jobs("list", "--state", "running").splitlines()[1:] == []
        # No person answers the prompt.
        assert jobs("delete", job.id, status=1).endswith("[y/N]: ")
        assert jobs("delete", job.id, "--yes") == f"{job.id} is deleted.\n"
        assert shop.jobs() == [other.id]
        jobs("show", job.id, status=2)


def test_a_manifest_is_submitted_on_the_command_line(shop: Shop, client: Client, tmp_path: Path) -> None:
    (image, mask) = pictures(tmp_path / "in", "a.png", "mask.png")
    environment = {"CLEANPLATE_URL": shop.settings.public_url, "CLEANPLATE_API_KEY": shop.key}
    manifest = tmp_path / "catalogue.csv"
    with served(shop.settings, tmp_path / "log"), ThreadPoolExecutor(1) as pool:
        upload = client.upload([image])[image]
        manifest.write_text(f"custom_id,upload_id,name\nsku-1,{upload},shirt.png\n")
        words = ("submit", str(manifest), "--mask", str(mask), "--out", str(tmp_path / "out"), *RIGHTS_OPTIONS)
        submitting = pool.submit(cleanplate, *words, settings=environment)
        (job_id,) = until(shop.jobs, "no job was made")
        shop.work(job_id)
        ended = submitting.result(120)
        assert ended.returncode == 0, ended.stderr
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["shirt.png"]


def test_webhooks_are_verified_for_receivers() -> None:
    from datetime import UTC, datetime

    secret, now = "whsec_" + "c2VjcmV0" * 5, datetime.now(UTC)
    body = '{"type":"ping"}'
    headers = {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("evt_1", now, body),
    }
    assert verify(secret, body.encode(), headers) == {"type": "ping"}
    for wrong in (
        {**headers, "Webhook-Id": "evt_2"},
        {**headers, "Webhook-Timestamp": "1000000000"},
        {**headers, "Webhook-Timestamp": "x"},
        {**headers, "Webhook-Signature": "v1,AAAA"},
        {**headers, "Webhook-Signature": "v1,\N{SNOWMAN}"},
        {},
    ):
        with pytest.raises(WebhookRefused):
            verify(secret, body, wrong)
    with pytest.raises(WebhookRefused):
        verify(secret, body + " ", headers)


def test_a_zip_that_was_cut_off_is_continued(shop: Shop, tmp_path: Path) -> None:
    files = pictures(tmp_path / "in", *(f"{n}.png" for n in range(20)))
    whole, cut = tmp_path / "whole.zip", tmp_path / "cut.zip"
    asked: list[str | None] = []
    with served(shop.settings, tmp_path / "log"):
        hooks = {"request": [lambda request: asked.append(request.headers.get("range"))]}
        with (
            httpx.Client(event_hooks=hooks, timeout=60) as http,
            Client(shop.settings.public_url, shop.key, http=http) as client,
        ):
            job = client.submit(files, masks=files[0], rights=RIGHTS)
            shop.work(job.id)
            client.archive(job.id, whole)
            tag = (
                http.get(
                    f"{shop.settings.public_url}/v1/jobs/{job.id}/archive",
                    headers={"Authorization": f"Bearer {shop.key}"},
                )
                .headers["etag"]
                .strip('"')
            )
            data = whole.read_bytes()
            partial = tmp_path / f".cut.zip.{tag}.partial"
            partial.write_bytes(data[:700])
            client.archive(job.id, cut)
            assert asked[-1] == "bytes=700-"
            assert cut.read_bytes() == data
            # Another ZIP's part, and one that is whole already.
            partial.with_name(".cut.zip.0123.partial").write_bytes(b"of another")
            client.archive(job.id, cut)
            assert cut.read_bytes() == data
            partial.write_bytes(data)
            client.archive(job.id, cut)
            assert cut.read_bytes() == data
    assert [path.name for path in tmp_path.glob(".cut*")] == []
