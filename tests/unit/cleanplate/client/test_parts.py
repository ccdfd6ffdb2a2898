"""Large files of the client, in parts to the real API as a process: complete, interrupted, and restarted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanplate import Client
from cleanplate.base.settings import Settings
from cleanplate.client.journal import Journal
from storage.blobs.base import PART_BYTES
from tests.api_process import served
from tests.running import until
from tests.unit.cleanplate.live import Shop, on_a_port, pictures

SIZE = 2 * PART_BYTES + 1000


class Interrupted(Journal):
    """The journal of a process that ends when the second part has arrived."""

    def note_part(self, upload_id: str, number: int, etag: str) -> None:
        super().note_part(upload_id, number, etag)
        if number == 2:
            raise KeyboardInterrupt


@pytest.fixture
def shop(embedded_settings: Settings) -> Iterator[Shop]:
    shop = Shop(on_a_port(embedded_settings))
    yield shop
    shop.close()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.tif"
    path.write_bytes(os.urandom(SIZE))
    return path


def client(shop: Shop, transfers: int = 4) -> Client:
    return Client(shop.settings.public_url, shop.key, transfers=transfers, whole_bytes=1_000_000)


def stored(shop: Shop, upload_id: str) -> bytes:
    return shop.blobs.get(f"t/{shop.tenant}/uploads/{upload_id}")


def sent(log: Path, route: str) -> int:
    """Number of successful requests of this kind."""
    lines = [line for line in log.read_text().splitlines() if f'"route": "{route}"' in line]
    return sum(1 for line in lines if re.search(r'"status": 20[0-9]', line) and '"method": "GET"' not in line)


def test_a_large_file_goes_in_parts_beside_small_ones(shop: Shop, large: Path, tmp_path: Path) -> None:
    (small,) = pictures(tmp_path / "in", "a.png")
    log, done = tmp_path / "log", list[int]()
    with served(shop.settings, log), client(shop) as sender:
        ids = sender.upload([large, small], on_uploaded=done.append)
        assert {path: stored(shop, upload_id) for path, upload_id in ids.items()} == {
            large: large.read_bytes(),
            small: small.read_bytes(),
        }
        until(lambda: sent(log, "/blobs/<token>") == 4, lambda: f"not one file and three parts: {log.read_text()}")
    assert sum(done) == 2


def test_an_interrupted_file_goes_on_with_the_parts_that_are_missing(shop: Shop, large: Path, tmp_path: Path) -> None:
    log, path = tmp_path / "log", tmp_path / "journal"
    with served(shop.settings, log), client(shop, transfers=1) as sender:
        with pytest.raises(KeyboardInterrupt):
            sender.upload([large], journal=Interrupted(path))
        already = sent(log, "/blobs/<token>")
        (upload_id,) = sender.upload([large], journal=Journal(path)).values()
        assert stored(shop, upload_id) == large.read_bytes()
        until(lambda: sent(log, "/blobs/<token>") == 3, lambda: f"not three parts: {already} before, {log.read_text()}")
        # If only the note of the completion is missing, nothing is sent again.
        path.write_text("".join(line for line in path.read_text().splitlines(True) if '"upload"' not in line))
        assert sender.upload([large], journal=Journal(path)) == {large: upload_id}
        assert sent(log, "/blobs/<token>") == 3


def test_a_file_whose_transfer_is_gone_is_sent_from_its_beginning(shop: Shop, large: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with served(shop.settings, tmp_path / "log"), client(shop, transfers=1) as sender:
        with pytest.raises(KeyboardInterrupt):
            sender.upload([large], journal=Interrupted(path))
        lines = path.read_text().replace('"begun": "upl_', '"begun": "upl_0').replace('"of": "upl_', '"of": "upl_0')
        path.write_text(lines)
        (upload_id,) = sender.upload([large], journal=Journal(path)).values()
        assert stored(shop, upload_id) == large.read_bytes()
