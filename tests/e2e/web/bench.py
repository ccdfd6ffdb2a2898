"""The page of one picture as a person uses it: pictures in, strokes, the eraser of marks, the file that comes out."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

#: The machine may be busy, and a worker that was killed leaves its lease to run out.
LONG_MS = 180_000


class Bench:
    """One page with one picture on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.canvas = page.locator("#canvas")

    def open(self, picture: Path, address: str = "/") -> None:
        self.page.goto(address)
        self.take(picture)

    def take(self, picture: Path) -> None:
        """Choose a file."""
        self.page.set_input_files("#file", picture)
        expect(self.page.locator("#name")).to_have_text(picture.name)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where on the screen a place of the fitted picture is; both are shares of its sides."""
        found = self.page.evaluate(
            """([x, y]) => {
                const box = document.getElementById('canvas').getBoundingClientRect();
                const [width, height] = document.getElementById('facts').dataset.size.split('x').map(Number);
                const scale = Math.min((box.width - 32) / width, (box.height - 32) / height, 4);
                return [box.left + box.width / 2 + (x - 0.5) * width * scale,
                        box.top + box.height / 2 + (y - 0.5) * height * scale];
            }""",
            [x, y],
        )
        return float(found[0]), float(found[1])

    def drag(self, *places: tuple[float, float]) -> None:
        """Draw through places of the picture with the tool that is chosen."""
        self.page.mouse.move(*self.point(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.point(*place), steps=6)
        self.page.mouse.up()

    def erase(self, step: int = 1) -> None:
        """Let the service repair what was painted, to the end."""
        self.page.get_by_role("button", name="Erase", exact=True).click()
        self.wait_for_step(step)

    def wait_for_step(self, step: int) -> None:
        current = self.page.locator(".step[aria-current]")
        expect(current).to_have_text(f"Step {step}", timeout=LONG_MS)

    def downloaded(self) -> tuple[str, bytes]:
        """Name and bytes of the file that the page hands over."""
        with self.page.expect_download() as started:
            self.page.get_by_role("link", name="Download").click()
        return started.value.suggested_filename, started.value.path().read_bytes()


def pixels(file: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))
