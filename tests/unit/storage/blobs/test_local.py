"""Duties of the directory of blobs alone: stay inside, survive interrupted writes, and sign links."""

from __future__ import annotations

import base64
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.blobs import Link, LocalBlobs, open_blobs
from storage.blobs.base import attachment
from storage.blobs.links import LinkSigner, signing_key
from storage.errors import BlobNotFound, BlobStoreUnavailable, InvalidKey, LinkInvalid

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def blobs(root: Path, clock: Clock) -> LocalBlobs:
    signer = LinkSigner("k" * 32, clock=clock)
    return LocalBlobs(root, public_url="http://127.0.0.1:8787/", signer=signer, max_bytes=1000)


def token_of(url: str) -> str:
    prefix = "http://127.0.0.1:8787/blobs/"
    assert url.startswith(prefix)
    return url.removeprefix(prefix)


def test_a_symlinked_folder_leads_nowhere(blobs: LocalBlobs, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (outside / ".secret.type").write_text("text/plain")
    (root / "link").symlink_to(outside)
    with pytest.raises(BlobNotFound):
        blobs.get("link/secret")
    with pytest.raises(BlobNotFound):
        blobs.stat("link/secret")
    with pytest.raises(InvalidKey):
        blobs.put("link/new", b"x", content_type="image/png")
    blobs.delete("link/secret")
    assert list(blobs.list("")) == []
    assert list(blobs.list("link/")) == []
    assert sorted(path.name for path in outside.iterdir()) == [".secret.type", "secret"]


def test_a_symlinked_file_is_not_followed_but_replaced(blobs: LocalBlobs, root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (root / "a").symlink_to(victim)
    with pytest.raises(BlobNotFound):
        blobs.get("a")
    blobs.put("a", b"new", content_type="image/png")
    assert victim.read_text() == "untouched"
    assert blobs.get("a") == b"new"
    assert not (root / "a").is_symlink()


def test_a_pipe_is_no_blob_and_does_not_hang(blobs: LocalBlobs, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(BlobNotFound):
        blobs.get("pipe")


def test_a_folder_is_no_blob_and_is_not_replaced(blobs: LocalBlobs) -> None:
    blobs.put("a/b", b"1", content_type="image/png")
    with pytest.raises(BlobNotFound):
        blobs.get("a")
    with pytest.raises(InvalidKey, match="in the way"):
        blobs.put("a", b"2", content_type="image/png")
    with pytest.raises(InvalidKey, match="in the way"):
        blobs.put("a/b/c", b"2", content_type="image/png")
    assert [blob.key for blob in blobs.list("")] == ["a/b"]


def test_a_failed_write_leaves_the_old_bytes_and_no_draft(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.put("t/a", b"old", content_type="image/png")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(BlobStoreUnavailable, match="No space left"):
        blobs.put("t/a", b"new", content_type="image/png")
    monkeypatch.undo()
    assert blobs.get("t/a") == b"old"
    assert sorted(path.name for path in (root / "t").iterdir()) == [".a.type", "a"]


def test_drafts_of_a_killed_process_are_not_listed(blobs: LocalBlobs, root: Path) -> None:
    blobs.put("t/a", b"1", content_type="image/png")
    (root / "t" / ".0123.draft").write_text("half")
    assert [blob.key for blob in blobs.list("t/")] == ["t/a"]


def test_only_the_owner_may_read(blobs: LocalBlobs, root: Path) -> None:
    blobs.put("t/a", b"1", content_type="image/png")
    for path in (root, root / "t", root / "t" / "a"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_put_link_permits_one_key_type_and_size(blobs: LocalBlobs, clock: Clock) -> None:
    request = blobs.presigned_put("t/1/uploads/u", content_type="image/jpeg", expires_s=60)
    assert request.method == "PUT"
    assert request.headers == {"Content-Type": "image/jpeg"}
    assert request.expires_at == clock.time + timedelta(seconds=60)
    link = blobs.read_link(token_of(request.url), "PUT")
    assert link == Link(method="PUT", key="t/1/uploads/u", content_type="image/jpeg", max_bytes=1000)


def test_a_get_link_carries_the_file_name(blobs: LocalBlobs) -> None:
    request = blobs.presigned_get("t/1/r", filename="größe.jpg", expires_s=60)
    assert blobs.read_link(token_of(request.url), "GET") == Link(method="GET", key="t/1/r", filename="größe.jpg")


def test_a_link_expires(blobs: LocalBlobs, clock: Clock) -> None:
    token = token_of(blobs.presigned_get("a", filename="a.jpg", expires_s=60).url)
    clock.time += timedelta(seconds=59)
    assert blobs.read_link(token, "GET").key == "a"
    clock.time += timedelta(seconds=1)
    with pytest.raises(LinkInvalid, match="expired"):
        blobs.read_link(token, "GET")


def test_a_link_is_for_one_method(blobs: LocalBlobs) -> None:
    get = token_of(blobs.presigned_get("a", filename="a.jpg", expires_s=60).url)
    put = token_of(blobs.presigned_put("a", content_type="image/png", expires_s=60).url)
    for token, method in ((get, "PUT"), (put, "GET"), (get, "DELETE"), (get, "HEAD")):
        with pytest.raises(LinkInvalid, match="permits"):
            blobs.read_link(token, method)


def test_an_altered_link_is_refused(blobs: LocalBlobs) -> None:
    token = token_of(blobs.presigned_get("t/1/a", filename="a.jpg", expires_s=60).url)
    payload, signature = token.rsplit(".", 1)
    forged = base64.urlsafe_b64encode(
        json.dumps({"expires": 1e12, "method": "GET", "key": "t/2/b", "filename": "b"}).encode()
    ).decode()
    for altered in ("", "nonsense", payload, f"{payload}.", f"{forged.rstrip('=')}.{signature}", f"x{token}"):
        with pytest.raises(LinkInvalid, match="altered"):
            blobs.read_link(altered, "GET")
    # The last character of base64 may hold unused bits: change one in the middle of each part.
    for place in (len(payload) // 2, len(payload) + 10):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(LinkInvalid):
            blobs.read_link(token[:place] + other + token[place + 1 :], "GET")


def test_a_link_of_another_key_is_refused(blobs: LocalBlobs, root: Path, clock: Clock) -> None:
    stranger = LocalBlobs(
        root, public_url="http://127.0.0.1:8787", signer=LinkSigner("x" * 32, clock=clock), max_bytes=1000
    )
    token = token_of(stranger.presigned_get("a", filename="a.jpg", expires_s=60).url)
    with pytest.raises(LinkInvalid):
        blobs.read_link(token, "GET")


@given(st.text(max_size=60))
def test_any_file_name_becomes_one_header_line(filename: str) -> None:
    header = attachment(filename)
    assert header.isascii()
    assert header.isprintable()
    assert header.startswith("attachment; filename")


def test_the_signing_key_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "home" / "signing-key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: signing_key(path), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["signing-key"]


def test_processes_with_one_home_accept_each_others_links(tmp_path: Path) -> None:
    first, second = (open_blobs(Settings(home=tmp_path)) for _ in range(2))
    assert isinstance(first, LocalBlobs)
    assert isinstance(second, LocalBlobs)
    token = token_of(first.presigned_get("a", filename="a.jpg", expires_s=60).url)
    assert second.read_link(token, "GET").key == "a"


def test_a_signing_key_from_the_settings_needs_no_file(tmp_path: Path) -> None:
    open_blobs(Settings(home=tmp_path, signing_key=SecretStr("s" * 40)))
    assert not (tmp_path / "signing-key").exists()


def test_a_file_url_names_the_folder(tmp_path: Path) -> None:
    blobs = open_blobs(Settings(home=tmp_path / "home", blobs_url=f"file://{tmp_path}/else%20where"))
    blobs.put("a", b"1", content_type="image/png")
    assert (tmp_path / "else where" / "a").read_bytes() == b"1"
