"""Training batches as a pure function of (seed, step): a resumed run sees exactly the batches of an unbroken one.

The few random numbers of a batch are drawn on the host; crops, marks and holes are made from them on the device.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.training.holes import Holes, draw_pool, read_pool
from model.training.photos import Photos
from model.training.recipe import Recipe
from model.training.stock import Stocks


class Batch(NamedTuple):
    """``clean`` and ``marked``: ``float [N, 3, C, C]`` in [0, 1]; ``hole``: ``float [N, 1, C, C]``, 0 or 1."""

    clean: Tensor
    marked: Tensor
    hole: Tensor

    @property
    def given(self) -> Tensor:
        """The network's input: ``[N, 4, C, C]``, the marked picture with the hole zeroed, and the hole."""
        return torch.cat((self.marked * (1 - self.hole), self.hole), dim=1)


class Batches:
    """The batch of each step of a recipe."""

    def __init__(self, recipe: Recipe, photos: Path, device: torch.device) -> None:
        """``photos``: the folder of pictures or shards.

        Raises:
            PhotosMissing: it holds no usable photo.
        """
        data, masks = recipe.data, recipe.masks
        self._seed, self._data, self._device = recipe.seed, data, device
        self._stocks = Stocks(
            Photos(photos, longest=data.longest),
            seed=recipe.seed, held=data.held, held_for=data.held_for, device=device,
        )  # fmt: skip
        shares = {str(kind): share for kind, share in masks.shares.items()}
        kinds = [kind for kind, share in shares.items() if share > 0]
        pool = read_pool(Path(masks.drawn)) if masks.drawn else draw_pool(recipe.seed, masks.pool, kinds)
        self._holes = Holes(pool, shares=shares, careless=masks.careless, device=device)

    @torch.no_grad()
    def batch(self, step: int, *, size: int | None = None) -> Batch:
        """The batch of step ``step``; ``size`` samples in place of the recipe's."""
        rng = np.random.default_rng((self._seed, step))
        count, side = size or self._data.batch, self._data.crop
        clean = self._stocks.at(step).crops(
            rng, count, side, most_reduction=self._data.most_reduction, as_is=self._data.as_is
        )
        alpha, hole = self._holes.draw(rng, count, side)
        opacity, colour = rng.uniform(0.25, 1, count), np.where(
            rng.random((count, 1)) < 0.6, rng.choice([0.0, 0.5, 1.0], p=[0.2, 0.2, 0.6], size=(count, 1)),
            rng.random((count, 3)),
        )  # fmt: skip
        alpha = alpha * self._there(opacity[:, None])
        return Batch(clean, clean * (1 - alpha) + self._there(colour) * alpha, hole)

    def close(self) -> None:
        """Stop the decoding threads."""
        self._stocks.close()

    def _there(self, values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self._device)[..., None, None]
