"""Keys on the page that judges results, with many results: from the key to the next pair, and pauses of the page.

    python -m bench.judging PHOTO... [--results 10000] [--keys 60] [--every 1.0] [--out judging.json]

The photos are cleaned by a service that ``cleanplate up`` runs; their rows are copied by SQL until the job has so many
results. Then the key *keep* is pressed once every ``--every`` seconds. For each key the script reports the milliseconds
until the next pair is on the stage, and for the whole run the longest task of the page's thread.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page
from rich.console import Console

from tests.browser import launch_browser, signed_in
from tests.e2e.web.many import submit_many
from tests.embedded import embedded

#: From a key that is pressed in the page to the next pair on its stage, in milliseconds.
_KEY = """() => new Promise((done) => {
    const [name, stage] = ['judge-name', 'stage'].map((id) => document.getElementById(id));
    const [before, start] = [name.textContent, performance.now()];
    const look = () => {
        if (name.textContent !== before && !stage.classList.contains('waiting')) done(performance.now() - start);
        else requestAnimationFrame(look);
    };
    dispatchEvent(new KeyboardEvent('keydown', {key: 'v', bubbles: true}));
    requestAnimationFrame(look);
})"""
_TASKS = """window.tasks = [];
new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => one.duration)))
    .observe({type: 'longtask', buffered: true});"""


def measure(page: Page, keys: int, every_s: float) -> dict[str, Any]:
    """Press the key; the times of all keys, and of the page's long tasks."""
    page.locator("#stage:not(.waiting)").wait_for()
    page.wait_for_timeout(3000)
    page.evaluate("window.tasks.length = 0")
    waits = []
    for _ in range(keys):
        begun = time.monotonic()
        waits.append(float(page.evaluate(_KEY)))
        page.wait_for_timeout(max(0.0, 1000 * (every_s - time.monotonic() + begun)))
    tasks = [float(task) for task in page.evaluate("window.tasks")]
    return {
        "median_ms": round(statistics.median(waits), 1),
        "p95_ms": round(sorted(waits)[int(0.95 * len(waits))], 1),
        "slowest_ms": round(max(waits), 1),
        "tasks_over_50_ms": len(tasks),
        "longest_task_ms": round(max(tasks, default=0.0)),
        "rows_in_the_list": page.locator("#rail").get_by_role("option").count(),
        "judged": page.locator("#judged").inner_text(),
    }


def mask_for(photo: Path, folder: Path) -> Path:
    """Write the mask of a mark in the lower right corner of a photo."""
    with Image.open(photo) as opened:
        width, height = opened.size
    mask = Image.new("L", (width, height))
    mask.paste(255, (round(0.7 * width), round(0.9 * height), round(0.95 * width), round(0.96 * height)))
    mask.save(folder / f"{photo.stem}-mask.png")
    return folder / f"{photo.stem}-mask.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--results", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=60)
    parser.add_argument("--every", type=float, default=1.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="cleanplate-bench-") as folder,
        embedded(Path(folder)) as service,
        launch_browser() as browser,
        signed_in(browser, service, viewport={"width": 1280, "height": 800}) as context,
    ):
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        for photo in options.photos:
            shutil.copy(photo, pictures / photo.name)
        masks = [mask_for(photo, Path(folder)) for photo in sorted(pictures.iterdir())]
        job = submit_many(service, pictures, masks, options.results)
        page = context.new_page()
        page.add_init_script(_TASKS)
        page.goto(f"/jobs/{job.id}/review")
        report = {
            "cores": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 1),
            "results": options.results,
            "keys_a_minute": round(60 / options.every),
            **measure(page, options.keys, options.every),
        }
    Console().print_json(json.dumps(report))
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
