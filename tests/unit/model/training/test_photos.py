"""Photos from folders and shards; unreadable ones are named and left out."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.errors import PhotosMissing
from model.training.packing import pack
from model.training.photos import Photos, load_photos


def test_a_broken_picture_in_the_folder_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (20, 30)).save(tmp_path / "good.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    assert [photo.shape for photo in load_photos(tmp_path)] == [(30, 20, 3)]
    assert "broken.jpg" in caplog.text
    assert "empty.png" in caplog.text


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(PhotosMissing, match="no pictures"):
            Photos(folder)


def test_pictures_none_of_which_can_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no")
    with pytest.raises(PhotosMissing, match="None of 1"):
        Photos(tmp_path).decoded([0])


def test_shards_hold_every_photo_once_and_little_is_lost(photos: Path, tmp_path: Path) -> None:
    source = Photos(photos)
    shards = pack(source, tmp_path, quality=95, shard_bytes=4_000)
    packed = Photos(tmp_path)
    assert len(shards) > 1
    assert len(packed) == len(source) == 6
    originals = {photo.shape: photo for photo in source.decoded(range(6))}
    for photo in packed.decoded(range(6)):
        assert np.abs(photo.astype(int) - originals[photo.shape]).mean() < 6


def test_packing_stops_at_its_size_and_leaves_out_what_cannot_be_read(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photos.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "broken.png").write_bytes(b"no")
    whole = pack(Photos(folder), tmp_path / "whole", quality=80, shard_bytes=10**6)
    assert len(Photos(tmp_path / "whole")) == 6
    assert len(whole) == 1
    most = 20_000  # a tar's own blocks counted
    small = pack(Photos(folder), tmp_path / "small", quality=80, shard_bytes=10**6, most_bytes=most)
    assert 0 < len(Photos(tmp_path / "small")) < 6
    assert sum(shard.stat().st_size for shard in small) <= most


@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=12), most=st.integers(0, 120), shard=st.integers(1, 60))
@settings(max_examples=40)
def test_packs_never_exceed_their_limit(sizes: list[int], most: int, shard: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "photos").mkdir()
        for number, side in enumerate(sizes):
            noise = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / "photos" / f"{number}.png")
        shards = pack(
            Photos(folder / "photos"), folder / "out", quality=95, shard_bytes=shard << 10, most_bytes=most << 10
        )
        assert sum(shard.stat().st_size for shard in shards) <= most << 10


def test_a_shard_that_is_cut_short_gives_what_is_whole(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (shard,) = pack(Photos(photos), tmp_path, quality=90, shard_bytes=10**6)
    with tarfile.open(shard) as tar:
        middle = tar.getmembers()[3]
    shard.write_bytes(shard.read_bytes()[: middle.offset_data + middle.size // 2])
    packed = Photos(tmp_path)
    assert len(packed.decoded(range(len(packed)))) == 3
    assert "shard-0000.tar" in caplog.text
