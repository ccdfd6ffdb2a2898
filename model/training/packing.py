"""The packer: reduces photos, encodes them and writes tar shards, which are read without unpacking.

    python -m model.training.packing PHOTOS SHARDS --longest 512 --quality 85 --shard-mb 8

Shards are plain tar files of pictures in a seeded order, so that each shard is a random sample of all photos.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from model.errors import PhotosMissing
from model.training.photos import Photos


def pack(
    photos: Photos, out: Path, *, quality: int, shard_bytes: int, most_bytes: int | None = None, seed: int = 0
) -> list[Path]:
    """Write ``photos`` as WebP of ``quality`` into shards of about ``shard_bytes``, ``most_bytes`` at most in all."""
    out.mkdir(parents=True, exist_ok=True)
    shards: list[Path] = []
    written = total = 0
    tar: tarfile.TarFile | None = None
    try:
        for number in np.random.default_rng(seed).permutation(len(photos)):
            try:
                (pixels,) = photos.decoded([int(number)], threads=1)
            except PhotosMissing:
                continue  # an unreadable picture, which was logged
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "WEBP", quality=quality, method=6)
            coded = file.getvalue()
            size = tarfile.BLOCKSIZE * (1 + -(-len(coded) // tarfile.BLOCKSIZE))  # the tar header, and whole blocks
            full = written + size > shard_bytes
            if tar is None or full:
                total += 2 * tarfile.BLOCKSIZE + tarfile.RECORDSIZE  # the blocks that end the archive
            if most_bytes is not None and total + size > most_bytes:
                break
            if tar is None or full:
                if tar is not None:
                    tar.close()
                shards.append(out / f"shard-{len(shards):04}.tar")
                tar, written = tarfile.open(shards[-1], "w"), 0  # noqa: SIM115 (closed in turn and at the end)
            member = tarfile.TarInfo(f"{int(number):06}.webp")
            member.size = len(coded)
            tar.addfile(member, io.BytesIO(coded))
            written, total = written + size, total + size
    finally:
        if tar is not None:
            tar.close()
    return shards


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m model.training.packing", description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of pictures")
    parser.add_argument("out", type=Path, help="folder for the shards")
    parser.add_argument("--longest", type=int, default=768, help="longer pictures are reduced (default: %(default)s)")
    parser.add_argument("--quality", type=int, default=88, help="of WebP (default: %(default)s)")
    parser.add_argument("--shard-mb", type=float, default=16, help="size of a shard (default: %(default)s)")
    parser.add_argument("--most-mb", type=float, help="size of all shards together (default: all photos)")
    options = parser.parse_args()
    shards = pack(
        Photos(options.photos, longest=options.longest),
        options.out,
        quality=options.quality,
        shard_bytes=int(options.shard_mb * 1e6),
        most_bytes=int(options.most_mb * 1e6) if options.most_mb else None,
    )
    size = sum(shard.stat().st_size for shard in shards)
    print(f"{len(shards)} shards, {size / 1e6:.1f} MB in all, in {options.out}")  # noqa: T201 (its answer)


if __name__ == "__main__":
    main()
