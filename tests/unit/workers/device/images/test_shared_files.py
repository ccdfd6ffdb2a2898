"""Files that several images share are fetched once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.errors import BlobStoreUnavailable
from workers.device.images.shared_files import SharedFiles


def test_file_that_many_want_at_once_is_fetched_once() -> None:
    fetched: list[str] = []
    release = threading.Event()

    def fetch(key: str) -> bytes:
        fetched.append(key)
        assert release.wait(60)
        return key.encode()

    files = SharedFiles(fetch)
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(files.get, "mask") for _ in range(4)]
        release.set()
        assert [answer.result() for answer in answers] == [b"mask"] * 4
    assert fetched == ["mask"]


def test_error_is_not_kept() -> None:
    answers = iter([BlobStoreUnavailable("away"), b"there"])

    def fetch(_: str) -> bytes:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    files = SharedFiles(fetch)
    with pytest.raises(BlobStoreUnavailable):
        files.get("mask")
    assert files.get("mask") == b"there"


def test_only_the_last_few_are_kept() -> None:
    fetched: list[str] = []
    files = SharedFiles(lambda key: fetched.append(key) or key.encode())
    for key in "abcdea":
        files.get(key)
    assert fetched == list("abcdea")
