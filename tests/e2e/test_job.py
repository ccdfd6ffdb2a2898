"""A job of real pictures, end to end: the same tests on SQLite with folders, and on Postgres with Redis and S3."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from standardwebhooks import Webhook

from cleanplate.client.http import Client
from cleanplate.embedded.demo import masked_psnr
from model.repair.hole import dilate
from model.repair.reach import MOST_PX
from tests import patient
from tests.e2e.conftest import Service
from tests.running import REPOSITORY, cleanplate, until
from tests.webhook_receiver import Receiver, receiver_running

SAMPLES = REPOSITORY / "samples"
RIGHTS = {"rights_basis": "owner", "attested_by": "Jo Doe", "rights_reference": "CC0 samples"}
RIGHTS_OPTIONS = [word for name, value in RIGHTS.items() for word in (f"--{name.replace('_', '-')}", value)]
NAMES = sorted(path.name for path in (SAMPLES / "marked").iterdir())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiver_running() as running:
        yield running


def assert_clean(result: bytes, name: str) -> None:
    """Assert that the result differs from the marked sample in the widened mask only, and is nearer to the original."""
    marked, original = (
        np.asarray(Image.open(SAMPLES / folder / name).convert("RGB")) for folder in ("marked", "originals")
    )
    mask = np.asarray(Image.open(SAMPLES / "masks" / name).convert("L"))
    with Image.open(io.BytesIO(result)) as opened:
        assert opened.format == "PNG"
        cleaned = np.asarray(opened.convert("RGB"))
    changed = (cleaned != marked).any(axis=2)
    assert np.count_nonzero(changed & (dilate(mask, MOST_PX) == 0)) == 0
    assert masked_psnr(original, cleaned, mask) > masked_psnr(original, marked, mask) + 3


def events(receiver: Receiver, secret: str) -> list[dict[str, object]]:
    """The received events, each verified against the endpoint's secret."""
    verified = []
    for received in receiver.received:
        Webhook(secret).verify(received.body, received.headers)
        verified.append(json.loads(received.body))
    return verified


def test_a_folder_of_pictures_comes_back_clean(service: Service, receiver: Receiver, tmp_path: Path) -> None:
    with Client(service.url, service.key) as client:
        webhook = client.webhooks.create(receiver.url)
        ended = cleanplate(
            "submit", str(SAMPLES / "marked"), "--mask", str(SAMPLES / "masks"), "--out", str(tmp_path / "out"),
            "--webhook-id", webhook.id, *RIGHTS_OPTIONS,
            settings=service.for_client,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert f"{len(NAMES)} of {len(NAMES)} images are clean" in ended.stdout

        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == NAMES
        for name in NAMES:
            assert_clean((tmp_path / "out" / name).read_bytes(), name)

        job = next(client.jobs())
        assert f"Job {job.id}" in ended.stderr
        assert (job.state, job.total, job.progress) == ("completed", len(NAMES), 1.0)
        assert job.counts.model_dump() == {
            "queued": 0, "running": 0, "succeeded": len(NAMES), "skipped": 0, "failed": 0, "canceled": 0,
        }  # fmt: skip
        assert job.tiles_done >= len(NAMES)
        images = list(client.images(job.id))
        assert [(image.name, image.state, image.attempt) for image in images] == [
            (name, "succeeded", 1) for name in NAMES
        ]

        until(lambda: receiver.received, "no webhook arrived")
        assert webhook.secret is not None
        (event,) = events(receiver, webhook.secret)
        assert event["type"] == "job.completed"
        assert event["data"]["id"] == job.id  # type: ignore[index]
        assert event["data"]["counts"]["succeeded"] == len(NAMES)  # type: ignore[index]


def test_a_bad_file_fails_alone(service: Service, receiver: Receiver, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = NAMES[:2]
    for name in good:
        shutil.copy(SAMPLES / "marked" / name, folder)
    (folder / "bad.jpg").write_bytes(b"this was a picture once")
    (folder / "notes.txt").write_text("not sent")
    with Client(service.url, service.key) as client:
        webhook = client.webhooks.create(receiver.url)
        ended = cleanplate(
            "submit", str(folder), "--mask", str(SAMPLES / "masks" / good[0]), "--out", str(tmp_path / "out"),
            "--webhook-id", webhook.id, *RIGHTS_OPTIONS,
            settings=service.for_client,
        )  # fmt: skip
        assert ended.returncode == 1, ended.stderr
        assert "bad.jpg  image_unreadable: " in ended.stderr
        assert "notes.txt" in ended.stderr
        assert "2 of 3 images are clean" in ended.stdout
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == good
        assert_clean((tmp_path / "out" / good[0]).read_bytes(), good[0])

        job = next(client.jobs())
        assert (job.state, job.counts.succeeded, job.counts.failed) == ("completed", 2, 1)
        shown = cleanplate("jobs", "show", job.id, settings=service.for_client)
        assert "bad.jpg  image_unreadable" in shown.stdout

        until(lambda: len(receiver.received) == 2, lambda: f"{len(receiver.received)} of 2 webhooks arrived")
        assert webhook.secret is not None
        events_by_type = {str(event["type"]): event["data"] for event in events(receiver, webhook.secret)}
        assert set(events_by_type) == {"image.failed", "job.completed"}
        assert events_by_type["image.failed"]["name"] == "bad.jpg"  # type: ignore[index]
        assert events_by_type["image.failed"]["error"]["code"] == "image_unreadable"  # type: ignore[index]
        assert events_by_type["job.completed"]["id"] == job.id  # type: ignore[index]


def test_a_small_job_goes_in_one_request(service: Service) -> None:
    names = NAMES[:2]
    headers = {"Authorization": f"Bearer {service.key}"}
    parts = [
        (part, (name, (SAMPLES / folder / name).read_bytes(), "image/png"))
        for part, folder in (("images", "marked"), ("masks", "masks"))
        for name in names
    ]
    with httpx.Client(base_url=service.url, headers=headers, timeout=60) as http:
        accepted = http.post("/v1/jobs", files=parts, data={"options": json.dumps({"feather_px": 1}), **RIGHTS})
        assert accepted.status_code == 202, accepted.text
        job_url = accepted.headers["location"]
        assert accepted.json()["options"]["feather_px"] == 1

        job = until(
            lambda: (answer := http.get(job_url).json())["state"] == "completed" and answer,
            lambda: f"the job did not end: {http.get(job_url).text}",
        )
        assert job["counts"]["succeeded"] == 2
        images = http.get(job["links"]["images"]).json()["data"]
        assert [image["name"] for image in images] == names
        for image in images:
            link = http.get(image["result_url"])
            assert link.status_code == 302
            # Without the key: the link alone permits the download.
            result = patient.get(httpx.URL(service.url).join(link.headers["location"]))
            assert_clean(result.content, image["name"])
            assert image["name"] in result.headers["content-disposition"]
