"""Pictures through the engine: planned tiles are filled, blended and laid into the picture.

One :class:`LaMaInpainter` holds one device. Three lines are enough::

    from model import LaMaInpainter
    inpainter = LaMaInpainter()
    clean = inpainter(image, mask)      # uint8 arrays; mask: 255 = repair
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from model.box import Box
from model.cores import usable_cores
from model.engine.costs import Costs, costs_for
from model.engine.engine import Engine, Filled
from model.engine.flight import Tile
from model.engine.guide import guided, smaller
from model.engine.plan import ALIGN, Plan, Region, make_plan, tile_weights
from model.errors import DeviceUnusable, ImageRejected, MaskRejected, WeightsRejected
from model.networks.precision import Precision, best_precision
from model.networks.weights import SHIPPED, load_network
from model.repair.hole import Mask, dilate, lay, rim
from model.repair.reach import fitted_hole
from model.repair.recovery import Method, Recovery, recover
from model.repair.task import Task, composite, recovered
from model.repair.texture import DEFAULT_TEXTURE, textured

Pixels = NDArray[np.uint8]
#: Most tiles of one picture in the engine at once; more would only wait there.
_TILES_AHEAD = 8
#: Tiles of one pass.
_MOST_TILES = 8


class LaMaInpainter:
    """A network, ready on a device. Threads may share one. Close it, or use it as a context manager."""

    def __init__(
        self,
        weights: str | Path = "",
        device: str = "auto",
        *,
        threads: int = 0,
        precision: Precision | None = None,
    ) -> None:
        """``weights``: a file, a name that ``cleanplate weights pull`` knows, or empty for the network that ships.

        ``device``: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.

        ``threads``: of the network on a CPU; 0 takes as many as this process may use (``OMP_NUM_THREADS`` counts).
        ``precision``: the device's best where not given.

        Raises:
            WeightsRejected: the file is not a network's weights.
            DeviceUnusable: PyTorch cannot use ``device``.
        """
        torch.set_num_threads(threads or usable_cores())
        #: The file of the weights, without symbolic links: two inpainters of one file hold the same weights.
        self.weights = weights_file(weights)
        network, description = load_network(self.weights)
        chosen = _device_of(device)
        self.architecture = description.architecture
        self.device = str(chosen)
        self.precision = precision or best_precision(chosen, description.architecture)
        on_cuda = chosen.type == "cuda"
        self.engine = Engine(
            network,
            chosen,
            self.precision,
            max_batch=_MOST_TILES,
            # On a CPU large batches overflow the caches and delays gain nothing: only small tiles share a pass.
            batch_px=None if on_cuda else self.costs.batch_px,
            max_delay_ms=3.0 if on_cuda else 0.0,
            compiled=self.costs.compiled,
        )

    def __call__(
        self,
        image: Pixels,
        mask: Mask,
        *,
        dilation_px: int | None = None,
        feather_px: int | None = None,
        ffc_lambda: float = 1.0,
        method: Method = "auto",
        mask_threshold: int = 128,
        match_colour: bool = True,
        texture: float = DEFAULT_TEXTURE,
    ) -> Pixels:
        """The clean picture in the shape of ``image``: ``uint8 [H, W]``, ``[H, W, 3]`` or ``[H, W, 4]`` (alpha kept).

        ``mask``: ``uint8`` or ``bool [H, W]``, repaired from ``mask_threshold`` on (1: all but black). It is widened by
        ``dilation_px`` (``None``: by what is left of the mark around it); outside the widened mask nothing changes.
        ``ffc_lambda`` scales the network's spectral paths: 1 as trained, 0 leaves only 3x3 convolutions.

        ``method``: ``auto`` recovers the picture under a translucent mark where that is sure, and fills the rest;
        ``recover`` also where it is not; ``fill`` lets the network fill everything.

        ``match_colour``: the fill follows the colours around the hole, and flat backgrounds are continued exactly.
        ``texture``: 0 to 1, how much of the picture's own fine detail is copied into the fill.

        Without ``match_colour``, and with ``method="fill"``, ``texture=0``, ``dilation_px=0`` and ``feather_px=0``, the
        hole holds what the network gave, level for level.

        Raises:
            ImageRejected: another type or shape.
            MaskRejected: another type or shape, or nothing marked.
            ValueError: ``texture`` is not from 0 to 1.
        """
        if not 0 <= texture <= 1:
            raise ValueError(f"texture is {texture}: give 0 to 1")
        colour, painted = _as_colour(image), _as_painted(mask, image, mask_threshold)
        if dilation_px is None and feather_px is None:
            (hole, _), feather = fitted_hole(colour, painted), 0
        else:
            height, width = painted.shape
            reach, feather = rim(height, width, dilation_px, feather_px)
            hole = dilate(painted, reach)
        fill, _ = self._filled(colour, hole, make_plan(hole, self.costs), ffc_lambda, lambda _: None)
        clean = lay(colour, fill, hole, feather, match_colour=match_colour)
        recovery = recover(colour, clean, painted, hole, method=method)
        clean = textured(recovery, hole, texture).pixels
        if image.ndim == 2:
            return np.ascontiguousarray(clean[..., 0])
        return clean if image.shape[2] == 3 else np.dstack((clean, image[..., 3]))

    def many(self, images: Sequence[Pixels], masks: Sequence[Mask]) -> Iterator[Pixels]:
        """Clean pictures in the order given; tiles of different pictures share passes on a device that batches.

        Raises:
            ValueError: there are not as many masks as images.
        """
        if len(images) != len(masks):
            raise ValueError(f"{len(images)} images and {len(masks)} masks: give one mask for each image")
        with ThreadPoolExecutor(_TILES_AHEAD) as callers:
            yield from callers.map(self, images, masks)

    def run(
        self,
        task: Task,
        on_tile: Callable[[int], None],
        on_note: Callable[[str], None] | None = None,
        *,
        ffc_lambda: float = 1.0,
        on_recovery: Callable[[Recovery], None] | None = None,
    ) -> Pixels:
        """The clean picture of a task: ``uint8 [H, W, 3]``, equal to the source outside ``task.hole``.

        ``on_tile`` is called with the number of finished tiles after each; an exception it raises ends the work and
        propagates. ``on_note`` is called with each of the engine's notes (``model.engine.engine.Filled.notes``),
        ``on_recovery`` with what could be recovered and what was invented.

        Raises:
            ResultNotFinite: the network's result is not numbers.
        """
        fill = self.fill(task, on_tile, on_note, ffc_lambda=ffc_lambda)
        recovery = recovered(task, composite(task, fill))
        if on_recovery is not None:
            on_recovery(recovery)
        return recovery.pixels

    def fill(
        self,
        task: Task,
        on_tile: Callable[[int], None],
        on_note: Callable[[str], None] | None = None,
        *,
        ffc_lambda: float = 1.0,
    ) -> Pixels:
        """The network's part of :meth:`run`: a task's picture with what the network gave in the hole."""
        fill, notes = self._filled(task.picture.pixels, task.hole, task.plan, ffc_lambda, on_tile)
        if on_note is not None:
            for note in notes:
                on_note(note)
        return fill

    def warm(self, task: Task) -> None:
        """Have the device capture the passes of the task's plan before its tiles come; waits for nothing."""
        if not self.engine.captures:
            return
        for part in task.parts:
            for region in part.plan.regions:
                if region.guide is not None:
                    padded = region.box.padded(ALIGN * region.guide)
                    height, width = padded.height // region.guide, padded.width // region.guide
                    self.engine.warm(height, width, Box(0, 0, height, width))
                for box in region.tiles:
                    tile = _tile(part.picture.pixels, part.hole, box, 1.0)
                    self.engine.warm(box.height, box.width, tile.window)

    @property
    def costs(self) -> Costs:
        """The cost of a pass on this device: plans minimise it."""
        return costs_for(self.architecture, torch.device(self.device).type)

    @property
    def pictures_at_once(self) -> int:
        """Number of threads that should call ``run`` at once, so that the next pass is always ready for the device."""
        # One is being filled while another is blended; on CUDA two batches of pictures with one tile each.
        return 2 * _MOST_TILES if torch.device(self.device).type == "cuda" else 3

    def close(self) -> None:
        """Finish the tiles that wait and release the device."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _filled(
        self, pixels: Pixels, hole: Mask, plan: Plan, ffc_lambda: float, on_tile: Callable[[int], None]
    ) -> tuple[Pixels, list[str]]:
        """``pixels`` with the hole filled, and the engine's notes."""
        fill = pixels.copy()
        notes: dict[str, None] = {}
        answers = self._ahead(_tiles(pixels, hole, plan, ffc_lambda))
        done = 0
        try:
            for region in plan.regions:
                blend = _Blend(region)
                if region.guide is not None:
                    copy = _smaller_tile(pixels, hole, region.box, region.guide, ffc_lambda)
                    # The engine answers with the hole alone; at its rim the known pixels count as well.
                    blend.small = np.where(copy.hole[..., None] > 0, next(answers).result().values, copy.pixels)
                    done += 1
                    on_tile(done)
                for tile, weight in zip(region.tiles, tile_weights(region), strict=True):
                    filled = next(answers).result()
                    notes |= dict.fromkeys(filled.notes)
                    blend.add(tile, weight, filled.values)
                    done += 1
                    on_tile(done)
                blend.lay_into(fill, hole)
        finally:
            answers.close()
        return fill, list(notes)

    def _ahead(self, tiles: Iterator[Tile]) -> Generator[Future[Filled], None, None]:
        """The answers for all ``tiles`` in order, a few requested ahead; closing it cancels those not begun."""
        waiting = [self.engine.submit(tile) for tile in islice(tiles, _TILES_AHEAD)]
        try:
            while waiting:
                first = waiting.pop(0)
                yield first
                waiting += [self.engine.submit(tile) for tile in islice(tiles, 1)]
        finally:
            for answer in waiting:
                answer.cancel()


class _Blend:
    """A region's tiles, summed by their weights."""

    def __init__(self, region: Region) -> None:
        self._box, self._guide = region.box, region.guide
        #: The smaller copy with its hole filled, where the region has a guide.
        self.small: Pixels | None = None
        #: The only tile, where the region is one pass.
        self._alone: Pixels | None = None
        if region.passes > 1:
            self._values = np.zeros((region.box.height, region.box.width, 3), np.float32)
            self._total = np.zeros((region.box.height, region.box.width, 1), np.float32)

    def add(self, tile: Box, weight: NDArray[np.float32], values: Pixels) -> None:
        if tile == self._box and self._guide is None:
            self._alone = values
            return
        place = tile.within(self._box).slices
        self._values[place] += values * weight[..., None]
        self._total[place] += weight[..., None]

    def lay_into(self, fill: Pixels, hole: Mask) -> None:
        """Write the blended values into the hole pixels of ``fill``."""
        mask = hole[self._box.slices]
        height, width = mask.shape
        place = fill[self._box.slices]
        if self._alone is not None:
            cv2.copyTo(self._alone[:height, :width], mask, place)
            return
        # Every hole pixel lies in a tile: tiles cover the region, and only those without a hole pixel were left out.
        known = np.maximum(self._total[:height, :width], np.float32(1e-12))
        values = np.asarray(self._values[:height, :width] / known, np.float32)
        if self._guide is not None and self.small is not None:
            values = guided(values, self.small, mask, self._guide)
        inside = mask > 0
        place[inside] = np.rint(values[inside].clip(0, 255)).astype(np.uint8)


def _device_of(name: str) -> torch.device:
    available = torch.cuda.is_available()
    chosen = torch.device(name if name != "auto" else ("cuda" if available else "cpu"))
    if chosen.type == "cuda" and not (available and (chosen.index or 0) < torch.cuda.device_count()):
        raise DeviceUnusable(name)
    return chosen


def weights_file(weights: str | Path) -> Path:
    """The file of ``weights``, resolved: a name is looked for where ``cleanplate weights pull`` puts its file.

    Raises:
        WeightsRejected: there is no file of this name.
    """
    file = Path(weights)
    if not weights:
        return SHIPPED.resolve()
    if file.is_file() or file.name != str(weights) or file.suffix:
        return file.resolve()
    pulled = Path.home() / ".cleanplate" / "weights" / f"{weights}.safetensors"
    if not pulled.is_file():
        raise WeightsRejected(
            "weights_unreadable",
            f"There is no file {weights}, and no {pulled}: run `cleanplate weights pull {weights}`.",
        )
    return pulled.resolve()


def _tiles(pixels: Pixels, hole: Mask, plan: Plan, ffc_lambda: float) -> Iterator[Tile]:
    """The engine's tiles for a plan, in order: for each region its smaller copy, if it has one, then its tiles."""
    for region in plan.regions:
        if region.guide is not None:
            yield _smaller_tile(pixels, hole, region.box, region.guide, ffc_lambda)
        for box in region.tiles:
            yield _tile(pixels, hole, box, ffc_lambda)


def _smaller_tile(pixels: Pixels, hole: Mask, box: Box, guide: int, ffc_lambda: float) -> Tile:
    """The engine's tile for the copy of ``box`` that is ``guide`` times smaller."""
    whole = _tile(pixels, hole, box.padded(ALIGN * guide), ffc_lambda)
    return Tile(*smaller(whole.pixels, whole.hole, guide), ffc_lambda)


def _tile(pixels: Pixels, hole: Mask, box: Box, ffc_lambda: float) -> Tile:
    """The engine's tile for ``box``: padded by reflection where it reaches beyond the picture."""
    part, mask = pixels[box.slices], hole[box.slices]
    missing = (box.height - mask.shape[0], box.width - mask.shape[1])
    if any(missing):
        # One pixel has nothing to reflect; numpy repeats it.
        sides = ((0, missing[0]), (0, missing[1]))
        part, mask = np.pad(part, (*sides, (0, 0)), mode="reflect"), np.pad(mask, sides, mode="reflect")
    return Tile(part, mask, ffc_lambda)


def _as_colour(image: Pixels) -> Pixels:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageRejected("image_array_unsupported", f"The image is {kind}: give a numpy array of uint8.")
    if image.ndim == 2 and image.size:
        return np.repeat(image[..., None], 3, axis=2)
    if image.ndim == 3 and image.shape[2] in {3, 4} and image.size:
        return np.ascontiguousarray(image[..., :3])
    raise ImageRejected(
        "image_array_unsupported", f"The image has shape {image.shape}: give [H, W], [H, W, 3] or [H, W, 4]."
    )


def _as_painted(mask: Mask, image: Pixels, threshold: int) -> Mask:
    """The mask in black and white: ``uint8 [H, W]``, 255 where it is to be repaired."""
    if not isinstance(mask, np.ndarray) or mask.dtype not in (np.uint8, np.bool_):
        kind = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
        raise MaskRejected("mask_array_unsupported", f"The mask is {kind}: give a numpy array of uint8 or bool.")
    if mask.shape != image.shape[:2]:
        raise MaskRejected(
            "mask_size_mismatch", f"The mask has shape {mask.shape}, its image {image.shape[:2]}: they must be equal."
        )
    marked = mask if mask.dtype == np.bool_ else mask >= threshold
    if not marked.any():
        raise MaskRejected("mask_empty", "The mask marks nothing: set what is to be removed to 255.")
    return marked.astype(np.uint8) * np.uint8(255)
