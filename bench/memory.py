"""Growth of a worker's memory with the number of pictures: resident size after 200 pictures and after 2,000.

    python -m bench.memory PHOTO [--pictures 2000] [--out memory.json]

One process repairs small pictures in many shards; the script reads its resident memory after every shard.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from PIL import Image

from bench.corpus.content import file_of
from bench.pipeline import corner, mask_of, run_all, worker_with
from workers.machine.supervisor import ALLOCATOR

WIDTH, HEIGHT = 300, 400
#: Number of pictures after which the process has run each code path once.
SETTLED = 200


def resident_mb() -> float:
    """Resident memory of this process, in MB (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1000, 1)


def measure(photo: Path, pictures: int) -> dict[int, float]:
    """Resident MB by the number of repaired pictures."""
    with Image.open(photo) as opened:
        picture = opened.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    source, mask = file_of(picture, "JPEG", quality=88), mask_of(corner(WIDTH, HEIGHT))
    sizes: dict[int, float] = {}

    def note(done: int) -> None:
        sizes[done] = resident_mb()

    with worker_with(source, mask, pictures, {}) as (worker, ids):
        run_all(worker, ids, note)
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    if not ALLOCATOR.keys() <= os.environ.keys():
        # As the supervisor starts a worker: the allocator reads these before the program runs.
        os.execve(sys.executable, [sys.executable, "-m", "bench.memory", *sys.argv[1:]], os.environ | ALLOCATOR)
    sizes = measure(options.photo, options.pictures)
    first = next((done for done in sizes if done >= SETTLED), max(sizes))
    last = max(sizes)
    growth = sizes[last] / sizes[first] - 1
    print(f"{sizes[first]} MB after {first} pictures, {sizes[last]} MB after {last}: {growth:+.1%}")
    if options.out:
        options.out.write_text(json.dumps({"growth": round(growth, 4), "resident_mb": sizes}, indent=1) + "\n")


if __name__ == "__main__":
    main()
