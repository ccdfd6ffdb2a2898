"""Measures the page's selection of a mark by a click or a stroke, on photos with marks laid over.

    python -m bench.select_mark [PHOTO ...]

Without photos it takes the CC0 samples.

Prints the intersection over union with the mark's true shape (half of its opacity and more) for each case: after one to
three clicks on the mark, and after one rough stroke over it. Node runs the page's own module.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation, distance_transform_edt, label

ROOT = Path(__file__).resolve().parents[1]
ORIGINALS = sorted((ROOT / "samples" / "originals").glob("*.png"))
SCRIPT = ROOT / "bench" / "select_mark.mjs"
#: Text, colour, opacity, size and anchor (shares of the sides) of each mark.
MARKS = [
    ("ACME", (24, 36, 72), 1.0, 40, (0.5, 0.5)),
    ("© studio", (255, 255, 255), 0.9, 34, (0.3, 0.8)),
    ("SAMPLE", (200, 30, 40), 0.7, 48, (0.5, 0.3)),
    ("●", (0, 120, 90), 0.85, 90, (0.75, 0.2)),
]
MOST_CLICKS = 3

Mask = NDArray[np.bool_]


def cases(photos: list[Path]) -> Iterator[tuple[str, NDArray[np.uint8], Mask]]:
    """Name, picture with its mark, and the mark's true shape."""
    for path in photos:
        with Image.open(path) as opened:
            original = opened.convert("RGB")
        for text, colour, opacity, size, (x, y) in MARKS:
            alpha = Image.new("L", original.size)
            place = (round(x * original.width), round(y * original.height))
            ImageDraw.Draw(alpha).text(place, text, fill=255, anchor="mm", font=ImageFont.load_default(size))
            marked = original.copy()
            marked.paste(colour, mask=alpha.point(lambda value, opacity=opacity: round(value * opacity)))
            yield f"{path.stem} {text}", np.asarray(marked.convert("RGBA")), np.asarray(alpha) >= 128


def select(picture: NDArray[np.uint8], how: dict[str, object], folder: Path) -> Mask:
    """The page's selection: ``how`` has ``click`` (x, y) or ``stroke`` (a file)."""
    height, width = picture.shape[:2]
    source, target = folder / "pixels", folder / "mask"
    source.write_bytes(picture.tobytes())
    request = {"pixels": str(source), "mask": str(target), "width": width, "height": height, **how}
    subprocess.run(["node", "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", SCRIPT, json.dumps(request)], check=True)
    return np.frombuffer(target.read_bytes(), np.uint8).reshape(height, width) > 0


def iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def click_on(rest: Mask) -> tuple[int, int]:
    """A person clicks on the middle of the thickest part that is not selected yet."""
    parts, _ = label(rest)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    thickness = distance_transform_edt(parts == sizes.argmax())
    y, x = np.unravel_index(thickness.argmax(), thickness.shape)
    return int(x), int(y)


def by_clicks(picture: NDArray[np.uint8], truth: Mask, folder: Path) -> list[float]:
    """The IoU after each click."""
    selected = np.zeros_like(truth)
    scores: list[float] = []
    while len(scores) < MOST_CLICKS and (not scores or scores[-1] < 0.95) and (truth & ~selected).any():
        selected |= select(picture, {"click": click_on(truth & ~selected)}, folder)
        scores.append(iou(selected, truth))
    return scores


def by_stroke(picture: NDArray[np.uint8], truth: Mask, folder: Path) -> float:
    """The IoU after a stroke that covers the mark with eight pixels around it."""
    stroke = binary_dilation(truth, iterations=8)
    file = folder / "stroke"
    file.write_bytes(stroke.astype(np.uint8).tobytes())
    return iou(select(picture, {"stroke": str(file)}, folder), truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="*", default=ORIGINALS)
    photos = parser.parse_args().photos
    clicks: list[float] = []
    strokes: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, picture, truth in cases(photos):
            scores, stroke = by_clicks(picture, truth, folder), by_stroke(picture, truth, folder)
            clicks.append(max(scores))
            strokes.append(stroke)
            print(f"{title:32} clicks {' '.join(f'{score:.3f}' for score in scores):20} stroke {stroke:.3f}")
    for kind, values in (("clicks", clicks), ("stroke", strokes)):
        reached = sum(value >= 0.9 for value in values)
        print(
            f"{kind}: mean {mean(values):.3f}, median {median(values):.3f}, at least .9 in {reached} of {len(values)}"
        )


if __name__ == "__main__":
    main()
