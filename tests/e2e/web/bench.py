"""Drives the page of one picture as a person does: open a picture, paint, erase the mark, download the result."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

#: For a busy machine, and for the lease of a killed worker to expire.
LONG_MS = 180_000


class Bench:
    """One page with one picture."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.canvas = page.locator("#canvas")

    def open(self, picture: Path, address: str = "/") -> None:
        self.page.goto(address)
        self.choose(picture)

    def choose(self, picture: Path) -> None:
        """Choose a file."""
        self.page.set_input_files("#file", picture)
        expect(self.page.locator("#name")).to_have_text(picture.name)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The position on the screen of a place in the fitted picture; ``x`` and ``y`` are shares of its sides."""
        position = self.page.evaluate(
            """([x, y]) => {
                const box = document.getElementById('canvas').getBoundingClientRect();
                const [width, height] = document.getElementById('facts').dataset.size.split('x').map(Number);
                const scale = Math.min((box.width - 32) / width, (box.height - 32) / height, 4);
                return [box.left + box.width / 2 + (x - 0.5) * width * scale,
                        box.top + box.height / 2 + (y - 0.5) * height * scale];
            }""",
            [x, y],
        )
        return float(position[0]), float(position[1])

    def drag(self, *places: tuple[float, float]) -> None:
        """Draw through places of the picture with the selected tool."""
        self.page.mouse.move(*self.point(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.point(*place), steps=6)
        self.page.mouse.up()

    def erase(self, step: int = 1) -> None:
        """Let the service repair the painted area, and wait for the result."""
        self.page.get_by_role("button", name="Erase", exact=True).click()
        self.wait_for_step(step)

    def wait_for_step(self, step: int) -> None:
        current = self.page.locator(".step[aria-current]")
        expect(current).to_have_text(f"Step {step}", timeout=LONG_MS)

    def download(self) -> tuple[str, bytes]:
        """Download the result; its name and bytes."""
        with self.page.expect_download() as download:
            self.page.get_by_role("link", name="Download").click()
        return download.value.suggested_filename, download.value.path().read_bytes()


def pixels(file: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))
