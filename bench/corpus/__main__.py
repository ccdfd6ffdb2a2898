"""The corpus as files.

python -m bench.corpus PHOTO FOLDER      writes the files, to view them or to try them in other programs
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from bench.corpus import cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("folder", type=Path, help="folder for the files; created if missing")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with Image.open(options.photo) as photo:
        for case in cases(photo):
            (options.folder / f"{case.name}.{case.name.split('-')[0]}").write_bytes(case.data)


if __name__ == "__main__":
    main()
