"""The layout of ZIPs, also of those that are larger than their old fields can tell."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.archive import ArchiveChanged, ZipPlan
from cleanplate.base.names import UniquePaths, safe_path

TIME = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def plan() -> Iterator[ZipPlan]:
    plan = ZipPlan()
    yield plan
    plan.close()


def in_pieces(key: str) -> Iterator[bytes]:
    """The bytes under a key, which are the key itself."""
    yield key[:2].encode()
    yield key[2:].encode()


def add(plan: ZipPlan, path: str, data: bytes) -> str:
    return plan.add(path, TIME, size=len(data), crc=zlib.crc32(data), key=data.decode())


def test_a_zip_of_many_files_is_read_by_others(plan: ZipPlan) -> None:
    """70,000 entries are more than the old fields count."""
    for number in range(70_000):
        add(plan, f"{number % 100}/a.jpg", str(number).encode())
    plan.add_text("list.txt", TIME, io.BytesIO(b"text"))
    plan.finish()
    data = b"".join(plan.read_from(0, in_pieces))
    assert len(data) == plan.length
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.infolist()) == 70_001
        assert archive.read("99/a (700).jpg") == b"69999"
        assert archive.read("list.txt") == b"text"


def test_a_file_of_more_than_4_gib_has_its_size_in_the_new_field(plan: ZipPlan) -> None:
    plan.add("large.tif", TIME, size=5 << 30, crc=7, key="large")
    add(plan, "small.png", b"small")
    plan.finish()
    # All but the large file's bytes: its directory, read as the end of a sparse file.
    directory = b"".join(plan.read_from((5 << 30) + 60, in_pieces))
    assert (5 << 30).to_bytes(8, "little") in directory
    assert plan.length > 5 << 30


def test_a_file_that_has_changed_breaks_the_zip_off(plan: ZipPlan) -> None:
    add(plan, "a.jpg", b"first")
    plan.finish()
    with pytest.raises(ArchiveChanged):
        list(plan.read_from(0, lambda _key: iter([b"oth", b"er"])))


@given(st.lists(st.text(st.sampled_from("aA./ 2()\x01:é"), max_size=8), max_size=12))
def test_paths_are_unique_and_safe_whatever_was_sent(paths: list[str]) -> None:
    names = UniquePaths()
    given_paths = [names.of(path) for path in paths]
    folded = [path.casefold() for path in given_paths]
    assert len(set(folded)) == len(folded)
    folders = {path.rpartition("/")[0].casefold() for path in given_paths}
    assert not folders & set(folded)
    assert all(safe_path(path) == path for path in given_paths)
