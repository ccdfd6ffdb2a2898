"""Downloads from a real server: they resume, never mix versions, and accept a file only by its digest."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanplate.client.retries import Retries
from cleanplate.errors import DigestWrong, DiskFull, DownloadFailed
from cleanplate.local.downloads import Download, digest_of
from tests.range_server import FileServer, file_server
from tests.servers import free_port

DATA = random.Random(0).randbytes(1_000_000)
DIGEST = f"md5:{hashlib.md5(DATA).hexdigest()}"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server(DATA) as here:
        yield here


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "big.partial"


def fetch(url: str, partial: Path, *, digest: str = DIGEST, attempts: int = 1) -> list[tuple[int, int | None]]:
    """Fetch, with retries at once; the calls of the progress callback."""
    heard: list[tuple[int, int | None]] = []
    retries = Retries(attempts=attempts, sleep=lambda _: None)
    Download(url, partial, retries=retries).fetch(digest, lambda here, total: heard.append((here, total)))
    return heard


def ranges(server: FileServer) -> list[str | None]:
    return [headers.get("range") for headers in server.requests]


def stopped_at(server: FileServer, partial: Path, size: int) -> None:
    """A download that broke off after ``size`` bytes."""
    server.cuts = [size]
    with pytest.raises(DownloadFailed):
        fetch(server.url, partial)
    assert partial.stat().st_size == size
    server.requests.clear()


def test_a_file_arrives_whole_and_its_progress_is_told(server: FileServer, partial: Path) -> None:
    heard = fetch(server.url, partial)
    assert partial.read_bytes() == DATA
    assert heard[0] == (0, len(DATA))
    assert heard[-1] == (len(DATA), len(DATA))
    assert heard == sorted(heard, key=lambda step: step[0])


def test_a_broken_connection_is_taken_up_where_it_broke(server: FileServer, partial: Path) -> None:
    server.cuts = [300_000, 200_000]
    fetch(server.url, partial, attempts=3)
    assert partial.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_download_goes_on(server: FileServer, partial: Path) -> None:
    stopped_at(server, partial, 400_000)
    heard = fetch(server.url, partial)
    assert partial.read_bytes() == DATA
    assert ranges(server) == ["bytes=400000-"]
    assert server.requests[0]["if-range"] == '"1"'
    assert heard[0] == (400_000, len(DATA))


def test_a_file_that_changed_meanwhile_is_begun_anew(server: FileServer, partial: Path) -> None:
    stopped_at(server, partial, 400_000)
    server.data, server.etag = DATA[::-1], '"2"'
    fetch(server.url, partial, digest=f"sha256:{hashlib.sha256(server.data).hexdigest()}")
    assert partial.read_bytes() == server.data


def test_a_server_without_ranges_sends_all_again(server: FileServer, partial: Path) -> None:
    stopped_at(server, partial, 400_000)
    server.supports_ranges = False
    fetch(server.url, partial)
    assert partial.read_bytes() == DATA


@pytest.mark.parametrize(
    ("etag", "last_modified", "resumed"),
    [('W/"1"', "", False), ("", "", False), ('W/"1"', "Wed, 21 Oct 2015 07:28:00 GMT", True)],
)
def test_only_what_names_a_version_exactly_is_gone_on_with(
    etag: str, last_modified: str, resumed: bool, server: FileServer, partial: Path
) -> None:
    server.etag, server.last_modified = etag, last_modified
    stopped_at(server, partial, 400_000)
    fetch(server.url, partial)
    assert partial.read_bytes() == DATA
    assert ranges(server) == (["bytes=400000-"] if resumed else [None])


def test_a_part_from_another_address_is_not_resumed(server: FileServer, partial: Path) -> None:
    stopped_at(server, partial, 400_000)
    fetch(f"{server.url}?mirror", partial)
    assert ranges(server) == [None]


def test_a_whole_file_that_was_never_checked_is_not_fetched_again(server: FileServer, partial: Path) -> None:
    fetch(server.url, partial)
    server.requests.clear()
    assert fetch(server.url, partial) == [(len(DATA), len(DATA))]
    assert partial.read_bytes() == DATA


def test_a_file_that_became_shorter_is_begun_anew(server: FileServer, partial: Path) -> None:
    stopped_at(server, partial, 400_000)
    server.data = DATA[:1000]
    fetch(server.url, partial, digest=f"md5:{hashlib.md5(server.data).hexdigest()}", attempts=2)
    assert partial.read_bytes() == server.data
    assert ranges(server) == ["bytes=400000-", None]


def test_another_file_than_pinned_is_deleted(server: FileServer, partial: Path) -> None:
    server.data = DATA[:-1] + b"!"
    with pytest.raises(DigestWrong) as refused:
        fetch(f"{server.url}?token=secret", partial)
    assert DIGEST in str(refused.value)
    assert "secret" not in str(refused.value)
    assert list(partial.parent.iterdir()) == []


def test_a_cut_that_the_server_does_not_tell_is_found_by_the_digest(server: FileServer, partial: Path) -> None:
    server.sends_length, server.cuts = False, [500_000]
    with pytest.raises(DigestWrong):
        fetch(server.url, partial)


def test_transient_errors_are_retried_and_refusals_are_not(server: FileServer, partial: Path) -> None:
    server.statuses = [503, 500]
    fetch(server.url, partial, attempts=3)
    assert partial.read_bytes() == DATA
    partial.unlink()
    server.statuses = [404, 404]
    with pytest.raises(DownloadFailed, match="answered 404"):
        fetch(server.url, partial, attempts=3)
    assert server.statuses == [404]


def test_without_a_server_the_way_around_is_told_and_no_secret(partial: Path) -> None:
    port = free_port()
    with pytest.raises(DownloadFailed) as failed:
        fetch(f"http://me:secret@127.0.0.1:{port}/big.pt?token=secret", partial, attempts=2)
    assert f"http://127.0.0.1:{port}/big.pt cannot be fetched" in str(failed.value)
    assert "cleanplate weights convert big.pt" in str(failed.value)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/big.pt", "big.pt", "http://", "http://[::1", "http://a:b/"])
def test_an_address_that_is_none_is_a_sentence(url: str, partial: Path) -> None:
    with pytest.raises(DownloadFailed, match="cannot be fetched"):
        fetch(url, partial)


def test_a_folder_that_cannot_be_written_is_a_sentence(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="cannot be written"):
        fetch(server.url, tmp_path / "absent" / "big.partial")


def test_a_full_disk_is_a_sentence_of_its_own(server: FileServer, partial: Path) -> None:
    partial.symlink_to("/dev/full")
    with pytest.raises(DiskFull, match="make room on this disk"):
        fetch(server.url, partial)


def test_digests_are_of_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    assert digest_of(tmp_path / "file", "md5") == DIGEST
    assert digest_of(tmp_path / "file", "sha256") == f"sha256:{hashlib.sha256(DATA).hexdigest()}"
