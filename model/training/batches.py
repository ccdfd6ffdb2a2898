"""Training batches as a pure function of (seed, step): a resumed run sees exactly what an unbroken one would."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.training.masks import KINDS, Mask

log = logging.getLogger(__name__)

#: How often each kind of mask is drawn.
MASK_SHARES = {"text": 0.45, "logo": 0.15, "tiled": 0.2, "stroke": 0.2}
_MASK_SIDE = 288
_MIN_COVERAGE, _MAX_COVERAGE = 0.08, 0.5


def load_photos(folder: Path, *, longest: int = 768) -> list[NDArray[np.uint8]]:
    """Every readable picture of ``folder`` as ``uint8 [H, W, 3]`` RGB; an unreadable one is logged and left out."""
    photos = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in {".jpg", ".jpeg", ".png", ".webp"}:
            continue
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is None:
            log.warning("left out %s: not a readable picture", path.name)
            continue
        scale = longest / max(pixels.shape[:2])
        if scale < 1:
            pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        photos.append(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8))
    return photos


def mask_pool(seed: int, count: int) -> list[Mask]:
    """``count`` masks, each already widened by 2 to 5 px as the product widens what users give it."""
    rng = np.random.default_rng((seed, 0x6D61736B))
    kinds, shares = list(MASK_SHARES), list(MASK_SHARES.values())
    pool: list[Mask] = []
    while len(pool) < count:
        mask = KINDS[str(rng.choice(kinds, p=shares))](rng, _MASK_SIDE, _MASK_SIDE)
        reach = int(rng.integers(2, 6))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        pool.append(np.asarray(cv2.dilate(mask, kernel), np.uint8))
    return pool


@dataclass(frozen=True)
class Batches:
    """Crops of photos with masks over them."""

    photos: list[NDArray[np.uint8]]
    masks: list[Mask]
    size: int
    crop: int
    seed: int

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """``(picture float [N, 3, C, C] in [0, 1], hole float [N, 1, C, C])`` of step ``step``."""
        rng = np.random.default_rng((self.seed, step))
        pictures = np.stack([self._crop(rng) for _ in range(self.size)])
        holes = np.stack([self._hole(rng) for _ in range(self.size)])
        picture = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255)
        return picture, torch.from_numpy(holes)[:, None].float().div_(255)

    def _crop(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        photo = self.photos[int(rng.integers(len(self.photos)))]
        h, w = photo.shape[:2]
        # Shrinking a little takes away the JPEG noise of the source; a third of the crops keep it.
        scale = 1.0 if rng.random() < 1 / 3 else float(rng.uniform(0.5, 1.0))
        side = min(int(self.crop / scale), h, w)
        top, left = int(rng.integers(h - side + 1)), int(rng.integers(w - side + 1))
        piece = photo[top : top + side, left : left + side]
        if side != self.crop:
            piece = np.asarray(cv2.resize(piece, (self.crop, self.crop), interpolation=cv2.INTER_AREA), np.uint8)
        return np.ascontiguousarray(_turned(rng, piece))

    def _hole(self, rng: np.random.Generator) -> Mask:
        while True:
            mask = self.masks[int(rng.integers(len(self.masks)))]
            top, left = (int(v) for v in rng.integers(_MASK_SIDE - self.crop + 1, size=2))
            piece = mask[top : top + self.crop, left : left + self.crop]
            if _MIN_COVERAGE < piece.mean() / 255 < _MAX_COVERAGE:
                return np.ascontiguousarray(_turned(rng, piece))


def _turned(rng: np.random.Generator, piece: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One of the eight symmetries of the square."""
    piece = np.rot90(piece, int(rng.integers(4)))
    return piece[:, ::-1] if rng.random() < 0.5 else piece
