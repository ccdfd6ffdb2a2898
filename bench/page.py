"""Time from drop to result: the page of one picture in a browser, on a service that ``cleanplate up`` runs.

    python -m bench.page PHOTO [--runs 5] [--out page.json]

The script makes a 1024x1024 JPEG with a mark in its corner and drops it. It draws a rectangle around the mark without a
pause and presses Enter. It reports the seconds from the drop until the result is shown, and those of each part: the
picture is shown, painted, accepted, ended, and the result is shown. The network is the shipped one, on the CPU.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page
from rich.console import Console
from rich.table import Table

from tests.browser import launch_browser, signed_in, state_rights
from tests.e2e.web.bench import Bench
from tests.embedded import embedded

SIDE = 1024
#: Bounds of the mark, as shares of the sides.
LEFT, TOP, RIGHT, BOTTOM = 0.76, 0.9, 0.98, 0.97
PARTS = ("shown", "painted", "accepted", "ended", "result", "drop_to_result")
_DROP = """([name, data]) => {
    const files = new DataTransfer();
    files.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, {type: 'image/jpeg'}));
    dispatchEvent(new DragEvent('drop', {dataTransfer: files, cancelable: true}));
}"""


def marked(photo: Path) -> bytes:
    """The photo as a square JPEG with a mark in the corner."""
    with Image.open(photo) as opened:
        image = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(image, "RGBA")
    place = (LEFT * SIDE + 8, TOP * SIDE + 8)
    pen.text(place, "© SHOP 2026", fill=(255, 255, 255, 170), font=ImageFont.load_default(32))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def measure(page: Page, picture: bytes, name: str) -> dict[str, float]:
    """Repair ``picture`` once; the seconds of each part, from the end of the one before."""
    bench = Bench(page)
    page.goto("/", wait_until="networkidle")
    page.evaluate("() => import('/static/web/pages/repair.js')")
    data = base64.b64encode(picture).decode()
    times = [time.perf_counter()]
    page.evaluate(_DROP, [name, data])
    page.locator("#work").wait_for(state="visible")
    times.append(time.perf_counter())
    page.keyboard.press("r")
    bench.drag((LEFT, TOP), (RIGHT, BOTTOM))
    times.append(time.perf_counter())
    with page.expect_response("**/result") as fetched:
        with page.expect_response("**/v1/jobs"):
            page.keyboard.press("Enter")
        times.append(time.perf_counter())
    assert fetched.value.ok or fetched.value.status == 302
    times.append(time.perf_counter())
    page.locator("#download").wait_for(state="visible", timeout=60_000)
    times.append(time.perf_counter())
    parts = [after - before for before, after in pairwise(times)]
    return dict(zip(PARTS, [*parts, times[-1] - times[0]], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    picture = marked(options.photo)
    runs: list[dict[str, float]] = []
    with (
        tempfile.TemporaryDirectory(prefix="cleanplate-bench-") as folder,
        embedded(Path(folder)) as service,
        launch_browser() as browser,
        signed_in(browser, service) as context,
    ):
        state_rights(context)
        page = context.new_page()
        measure(page, picture, "warm.jpg")  # warms up the worker and the browser
        runs += [measure(page, picture, f"run-{number}.jpg") for number in range(options.runs)]
    medians = {part: round(statistics.median(run[part] for run in runs), 3) for part in PARTS}
    table = Table(title=f"{SIDE}x{SIDE} JPEG, mark in the corner, median of {options.runs}")
    for column in ("part", "seconds"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for part, seconds in medians.items():
        table.add_row(part.replace("_", " "), f"{seconds:.2f}")
    Console().print(table)
    if options.out:
        report: dict[str, Any] = {
            "cores": os.cpu_count(),
            "load_before": round(os.getloadavg()[2], 1),
            "runs": options.runs,
            "median_seconds": medians,
            "slowest_seconds": round(max(run["drop_to_result"] for run in runs), 3),
        }
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
