"""A run's journal: rows of figures in ``log.csv`` and sheets of samples."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


class Journal:
    """Writes to a run's folder. A repeated step after a resume replaces its row."""

    def __init__(self, folder: Path, *, step: int) -> None:
        self._log = folder / "log.csv"
        self._folder = folder
        self._forget_after(step)

    def row(self, step: int, figures: Mapping[str, float]) -> None:
        """Write one row: the step and its figures, in this order."""
        head = ["step", *figures]
        if self._log.exists() and self._head() != head:
            self._log.replace(self._folder / f"log-before-{step}.csv")  # the recipe has other losses now
        new = not self._log.exists()
        with self._log.open("a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            if new:
                rows.writerow(head)
            rows.writerow((step, *(f"{value:.6g}" for value in figures.values())))

    def sheet(self, step: int, columns: list[Tensor]) -> None:
        """``columns`` of pictures (``[N, 3, H, W]`` in [0, 1]) side by side, as ``sheet-STEP.jpg``."""
        rows = torch.cat([torch.cat(list(column.float().cpu()), dim=1) for column in columns], dim=2)
        pixels = rows.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(self._folder / f"sheet-{step:07}.jpg", quality=88)

    def _head(self) -> list[str]:
        with self._log.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def _forget_after(self, step: int) -> None:
        """Drop rows of steps after the checkpoint: the run repeats these steps and writes them again."""
        if not self._log.exists():
            return
        with self._log.open(newline="", encoding="utf-8") as file:
            head, *rows = list(csv.reader(file)) or [["step"]]
        kept = [row for row in rows if row and row[0].isdigit() and int(row[0]) <= step]
        if len(kept) != len(rows):
            with self._log.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([head, *kept])


class Means:
    """Sums of figures on the device, and the time since they were last taken."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._began = time.monotonic()
        self._seconds = 0.0

    def add(self, figures: dict[str, Tensor]) -> None:
        self._count += 1
        for name, value in figures.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def take(self) -> tuple[int, dict[str, float]]:
        """Return the number of added rows and their means, and start again."""
        count, means = self._count, {name: float(value) / self._count for name, value in self._sums.items()}
        now = time.monotonic()
        self._seconds, self._began = now - self._began, now
        self._sums, self._count = {}, 0
        return count, means

    def seconds(self) -> float:
        """Seconds that the last taken steps took."""
        return max(self._seconds, 1e-9)
