"""Seeded pictures of smooth random texture, with and without a mark: quick stand-ins for photos."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.marks import Mark, Scene, placed
from model.watermark.samples import Sample

Pixels = NDArray[np.uint8]


def texture(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """A picture whose spectrum falls as photos' do."""
    total = np.full((height, width, 3), 128, np.float32)
    for sigma, size in ((40, 900), (12, 200), (4, 45), (1.2, 8)):
        total += size * cv2.GaussianBlur(rng.normal(size=(height, width, 3)).astype(np.float32), (0, 0), sigma)
    base = rng.uniform(-60, 60, 3).astype(np.float32)
    return np.clip(total + base, 0, 255).astype(np.uint8)


def marked(
    scene: Scene, rng: np.random.Generator, *, clean: bool = False
) -> tuple[Pixels, Pixels, NDArray[np.float32]]:
    """A picture as given, its original, and the true opacity."""
    width, height = scene.sizes[int(rng.integers(len(scene.sizes)))]
    original = texture(rng, height, width)
    coverage, colour = placed(scene, width, height, rng)
    alpha = coverage * scene.alpha * (0 if clean else 1)
    blended = original * (1 - alpha[..., None]) + colour * alpha[..., None]
    return np.rint(blended).astype(np.uint8), original, alpha


def samples(pictures: list[Pixels]) -> list[Sample]:
    return [Sample(f"{number}.png", lambda shown=shown: shown) for number, shown in enumerate(pictures)]  # type: ignore[misc]


def jpeg(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


__all__ = ["Mark", "Scene", "jpeg", "marked", "samples", "texture"]
