"""Marks and holes, made on the device: watermark-like ones from a pool of drawn masks, LaMa's strokes and boxes.

A mark is laid over the photo with soft edges and some opacity; the hole is its widened shape. A careless hole is too
narrow, so that half-transparent remains of the mark are seen beside it. Strokes and boxes are holes without a mark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

Mask = NDArray[np.uint8]
#: Masks ``uint8 [M, POOL_SIDE, POOL_SIDE]`` of each watermark-like kind.
Pool = dict[str, NDArray[np.uint8]]
#: Side of a pooled mask, in px.
POOL_SIDE = 288
#: Number of crops of pooled masks that are tried for one with a share of marked pixels in bounds.
_CANDIDATES, _LEAST_COVERED, _MOST_COVERED = 4, 0.03, 0.4
_MOST_REACH = 5
#: LaMa's masks on 256 px (its paper's supplement): strokes (most of them, corners, px of length and width), boxes (most
#: of them, px of the shortest and longest side).
_STROKES = {"narrow": (4, 8, 40, 10), "medium": (5, 8, 100, 30), "wide": (5, 8, 200, 60)}
_BOXES = {"narrow": (2, 10, 40), "medium": (3, 30, 75), "wide": (3, 30, 150)}


def draw_pool(seed: int, count: int, kinds: Sequence[str]) -> Pool:
    """``count`` watermark-like masks, as many of each kind; weights, slants and outlines vary as typefaces do."""
    from model.training.masks import KINDS

    marks = [kind for kind in kinds if kind in KINDS]
    pool: Pool = {}
    for kind in marks:
        rng = np.random.default_rng((seed, 0x6D61736B, list(KINDS).index(kind)))
        drawn: list[Mask] = []
        while len(drawn) < max(1, count // len(marks)):
            mask = _restyled(rng, KINDS[kind](rng, POOL_SIDE, POOL_SIDE))
            if mask.mean() / 255 > _LEAST_COVERED:
                drawn.append(mask)
        pool[kind] = np.stack(drawn)
    return pool


def write_pool(pool: Pool, path: Path) -> None:
    """Write a pool to a small file, for machines without OpenCV."""
    bits: dict[str, Any] = {kind: np.packbits(masks > 127, axis=2) for kind, masks in pool.items()}
    np.savez_compressed(path, **bits)


def read_pool(path: Path) -> Pool:
    """Read a pool that ``write_pool`` wrote."""
    with np.load(path) as file:
        return {kind: np.unpackbits(file[kind], axis=2)[..., :POOL_SIDE] * np.uint8(255) for kind in file.files}


def _restyled(rng: np.random.Generator, mask: Mask) -> Mask:
    """``mask`` slanted and stretched; now and then bolder, or its outline alone."""
    import cv2

    slant, stretch = rng.uniform(-0.3, 0.3), rng.uniform(0.7, 1.3)
    middle = POOL_SIDE / 2
    matrix = np.array([[stretch, slant, middle - stretch * middle - slant * middle], [0, 1, 0]])
    styled = np.asarray(cv2.warpAffine(mask, matrix, (POOL_SIDE, POOL_SIDE)), np.uint8)
    style, kernel = rng.random(), np.ones((3, 3), np.uint8)
    if style < 0.15:
        styled = np.asarray(cv2.dilate(styled, kernel), np.uint8)
    elif style < 0.3:
        styled = np.asarray(cv2.morphologyEx(styled, cv2.MORPH_GRADIENT, kernel), np.uint8)
    return styled


class Holes:
    """Draws marks and holes for batches."""

    def __init__(self, pool: Pool, *, shares: Mapping[str, float], careless: float, device: torch.device) -> None:
        """``pool``: drawn masks of every kind in ``shares`` that is watermark-like."""
        kinds = [kind for kind, share in shares.items() if share > 0]
        weights = np.array([shares[kind] for kind in kinds])
        self._kinds, self._shares = kinds, weights / weights.sum()
        self._careless, self._device = careless, device
        self._ranges: dict[str, tuple[int, int]] = {}
        begin = 0
        for kind, masks in pool.items():
            self._ranges[kind] = (begin, begin + len(masks))
            begin += len(masks)
        self._pool = torch.from_numpy(np.concatenate(list(pool.values()))).to(device) if pool else None

    def draw(self, rng: np.random.Generator, count: int, side: int) -> tuple[Tensor, Tensor]:
        """``(alpha, hole)``, both ``float [N, 1, side, side]``: the mark's coverage in [0, 1] and the hole, 0 or 1."""
        kinds = [str(kind) for kind in rng.choice(self._kinds, size=count, p=self._shares)]
        is_mark = np.array([kind in self._ranges for kind in kinds])
        marked = self._marks(rng, kinds, side)
        painted = self._painted(rng, kinds, side)
        chooser = self._there(is_mark.astype(np.float32)) > 0
        shape = torch.where(chooser, marked, painted)
        reach = rng.integers(2, _MOST_REACH + 1, size=count)
        careless = rng.random(count) < self._careless
        softness = np.where(careless, rng.uniform(0.8, 2.0, count), rng.uniform(0.0, 1.2, count))
        reach = np.where(careless, rng.integers(0, 2, size=count), reach)
        reach = np.where(is_mark, reach, 0)
        hole = _widened((shape > 0.5).float(), self._there(reach.astype(np.float32)))
        alpha = _blurred(shape, softness, self._device)
        return torch.where(chooser, alpha, torch.zeros_like(alpha)), hole

    def _marks(self, rng: np.random.Generator, kinds: list[str], side: int) -> Tensor:
        """Crops of pooled masks, turned a little and magnified up to 2.5 times: of a few, one not too empty."""
        count = len(kinds)
        ranges = [self._ranges.get(kind, (0, 1)) for kind in kinds]
        numbers = np.array([rng.integers(low, high, size=_CANDIDATES) for low, high in ranges])
        angles = rng.uniform(-0.3, 0.3, (count, _CANDIDATES)) + rng.integers(4, size=(count, _CANDIDATES)) * math.pi / 2
        shrink = side / POOL_SIDE / rng.uniform(0.8, 2.5, (count, _CANDIDATES))
        place = rng.uniform(-1, 1, (2, count, _CANDIDATES)) * np.maximum(1 - shrink, 0)
        if self._pool is None:
            return torch.zeros(count, 1, side, side, device=self._device)
        cos, sin = np.cos(angles) * shrink, np.sin(angles) * shrink
        theta = np.stack((np.stack((cos, -sin, place[0]), -1), np.stack((sin, cos, place[1]), -1)), -2)
        grid = F.affine_grid(
            torch.from_numpy(theta.reshape(-1, 2, 3)).float().to(self._device),
            [count * _CANDIDATES, 1, side, side],
            align_corners=False,
        )
        chosen = self._pool[torch.from_numpy(numbers.reshape(-1)).to(self._device)][:, None].float() / 255
        crops = F.grid_sample(chosen, grid, padding_mode="zeros", align_corners=False)
        crops = crops.view(count, _CANDIDATES, side, side)
        covered = (crops > 0.5).float().mean(dim=(2, 3))
        excess = (_LEAST_COVERED - covered).clamp_min(0) + (covered - _MOST_COVERED).clamp_min(0)
        best = excess.argmin(dim=1)  # the first of those in bounds
        return crops[torch.arange(count, device=self._device), best][:, None]

    def _painted(self, rng: np.random.Generator, kinds: list[str], side: int) -> Tensor:
        """Strokes or boxes of the kind's size; nothing for kinds that are marks."""
        masks = np.zeros((len(kinds), side, side), np.uint8)
        for canvas, kind in zip(masks, kinds, strict=True):
            if kind in _STROKES:
                paint(rng, canvas, kind)
        return torch.from_numpy(masks).to(self._device)[:, None].float() / 255

    def _there(self, values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(values).to(self._device).view(-1, 1, 1, 1)


def paint(rng: np.random.Generator, canvas: Mask, kind: str) -> None:
    """Strokes or boxes of LaMa's ``kind`` (narrow, medium, wide) on ``canvas`` (``uint8 [H, W]``), in place."""
    side = min(canvas.shape)
    unit = side / 256
    if rng.random() < 0.5:
        most, shortest, longest = _BOXES[kind]
        for _ in range(int(rng.integers(1, most + 1))):
            height, width = (int(unit * v) for v in rng.integers(shortest, longest + 1, size=2))
            top, left = (
                int(rng.integers(max(1, size - length)))
                for size, length in zip(canvas.shape, (height, width), strict=True)
            )
            canvas[top : top + height, left : left + width] = 255
        return
    most, corners, length, width = _STROKES[kind]
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, most + 1))):
        point = rng.uniform((0, 0), canvas.shape[::-1])
        thickness = max(1, round(unit * rng.uniform(0.4, 1) * width))
        for corner in range(int(rng.integers(1, corners + 1))):
            # As in the paper's code, every second segment turns back, so that strokes zigzag.
            angle = rng.uniform(0.01, 4) + (math.pi if corner % 2 else 0)
            reach = unit * rng.uniform(10, length)
            target = np.clip(point + reach * np.array([math.cos(angle), math.sin(angle)]), 0, side)
            start, end = (int(point[0]), int(point[1])), (int(target[0]), int(target[1]))
            pen.line((*start, *end), fill=255, width=thickness)
            point = target
    canvas[:] = np.asarray(picture)


def _widened(mask: Tensor, reach: Tensor) -> Tensor:
    """``mask`` (0 or 1) widened by ``reach`` px, ``[N, 1, 1, 1]``: crosses and squares in turn come close to a disc."""
    result = mask
    for px in range(1, _MOST_REACH + 1):
        if px % 2:
            across = torch.maximum(F.max_pool2d(mask, (3, 1), 1, (1, 0)), F.max_pool2d(mask, (1, 3), 1, (0, 1)))
        else:
            across = F.max_pool2d(mask, 3, 1, 1)
        mask = across
        result = torch.where(reach >= px, mask, result)
    return result


def _blurred(shape: Tensor, softness: NDArray[np.float64], device: torch.device) -> Tensor:
    """``shape`` ``[N, 1, H, W]`` under a Gaussian of ``softness`` px for each sample."""
    radius = 5
    places = torch.arange(-radius, radius + 1, device=device, dtype=torch.float32)
    sigma = torch.from_numpy(np.maximum(softness, 0.05).astype(np.float32)).to(device).view(-1, 1)
    kernel = torch.exp(-0.5 * (places / sigma).square())
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    count = shape.shape[0]
    x = F.pad(shape.transpose(0, 1), (radius,) * 4, mode="replicate")
    x = F.conv2d(x, kernel.view(count, 1, -1, 1), groups=count)
    return F.conv2d(x, kernel.view(count, 1, 1, -1), groups=count).transpose(0, 1)
