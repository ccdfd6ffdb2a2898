"""A nightly sync: what is new is sent, what was done is skipped, what changed is replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanplate import Client, Rights
from cleanplate.base.settings import Settings
from cleanplate.client.answers import JobAnswer
from cleanplate.errors import UsageError
from cleanplate.terminal.folders import walk_pictures
from cleanplate.terminal.syncing import RECORD, Record, Report, sync_folder
from tests.api_process import served
from tests.unit.cleanplate.live import Shop, on_a_port, pictures

RIGHTS = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")


@pytest.fixture
def shop(embedded_settings: Settings) -> Iterator[Shop]:
    shop = Shop(on_a_port(embedded_settings))
    yield shop
    shop.close()


def test_only_what_is_new_or_changed_is_sent(shop: Shop, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    out.mkdir()
    (mask,) = pictures(tmp_path, "mask.png")
    (first,) = pictures(folder / "w" / "s", "front.png")
    pictures(folder, "front.png")
    jobs: list[int] = []

    def run(bad: int = 0) -> Report:
        def work(job: JobAnswer) -> None:
            if job.state == "queued":
                jobs.append(job.total)
                shop.work(job.id, bad=bad)

        with Client(shop.settings.public_url, shop.key) as client:
            listed = walk_pictures(folder).pictures
            return sync_folder(client, folder, listed, mask, out=out, rights=RIGHTS, on_job=work)

    with served(shop.settings, tmp_path / "log"):
        report = run()
        assert (report.cleaned, report.skipped, report.unfinished) == (2, 0, [])
        results = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.png")}
        assert set(results) == {"front.png", "w/s/front.png"}
        assert (run().skipped, jobs) == (2, [2])
        # Touched and the same; changed; gone; new.
        os.utime(folder / "front.png")
        assert (run().skipped, jobs) == (2, [2])
        first.write_bytes(b"another picture")
        (out / "front.png").unlink()
        pictures(folder, "new.png")
        report = run(bad=1)
        assert (report.cleaned, report.skipped, len(report.unfinished), jobs) == (2, 0, 1, [2, 3])
        # What failed is new again.
        report = run()
        assert (report.cleaned, report.skipped, jobs) == (1, 2, [2, 3, 1])
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        "front.png", "new.png", "w/s/front.png",
    ]  # fmt: skip
    assert (out / "w" / "s" / "front.png").read_bytes() != results["w/s/front.png"]


def test_a_record_that_broke_off_is_read_and_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / RECORD
    line = '{"path": "a.png", "sha256": "00", "size": 1, "mtime_ns": 2, "result": "a.png"}'
    path.write_text(f'{line}\n{{"path": "b.png", "sha')
    record = Record(path)
    assert (record.of("a.png") is not None, record.of("b.png")) == (True, None)
    assert path.read_text() == f"{line}\n"
    path.write_text("a,b\n")
    with pytest.raises(UsageError, match="not a record"):
        Record(path)
