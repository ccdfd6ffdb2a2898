"""The JPEG splice: touched MCUs get new DCT coefficients, all others keep theirs bit for bit.

In each touched block the source's samples are restored from its own coefficients without clipping, those in the hole
are replaced, and the block is transformed and quantised with the source's own tables (ITU-T T.81, annex A.3). So a
block that the hole only grazes stays as near to the source as its quantisation allows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from model.cells import touched_cells
from model.imaging.formats import segments
from model.imaging.formats.coefficients import Coefficients, NotSpliceable
from model.imaging.formats.segments import Segment
from model.imaging.picture import Mask, Samples

#: MCUs in one batch, which bounds the memory of a mark that covers the picture.
_BATCH = 1 << 13


def splice(data: bytes, samples: Samples, hole: Mask, kind: str = "") -> bytes:
    """``data`` with the MCUs that ``hole`` touches made anew: see :func:`repaired`. The headers are those of ``data``,
    without segments that describe the picture.
    """
    return repaired(data, samples, hole, kind).written()


def repaired(data: bytes, samples: Samples, hole: Mask, kind: str = "") -> Coefficients:
    """The coefficients of ``data``, those of the MCUs that ``hole`` touches made anew from ``samples``.

    ``samples``: ``uint8 [H, W, C]`` as stored. ``kind``: how components follow from samples, where the file's own
    markers do not say it: ``grey`` and ``plain`` (they are them), ``ycc``, ``cmyk`` (inverted) or ``ycck``.

    Raises:
        NotSpliceable: the file's coding is one that cannot be written back.
    """
    coefficients = Coefficients(data)
    headers, _ = segments.split(data)
    kind = kind or _colour(headers, samples.shape[2])
    mcus = np.argwhere(touched_cells(hole, *coefficients.mcu))
    for at in range(0, len(mcus), _BATCH):
        _repair(coefficients, mcus[at : at + _BATCH], samples, hole, kind)
    return coefficients


def prove(source: bytes, file: bytes, meant: Coefficients, hole: Mask) -> None:
    """Read the spliced ``file`` and its ``source`` anew: all blocks are as ``meant``, untouched ones as in the source.

    So are size, sampling, tables, and the markers that say how components become colours.

    Raises:
        NotSpliceable: they are not.
    """
    if _coding(source) != _coding(file):
        raise NotSpliceable("the spliced file's headers differ from its own")
    # One after the other: a large picture's coefficients take as much memory as its pixels.
    _compare(Coefficients(file), meant, np.zeros_like(hole), "what was to be written")
    _compare(Coefficients(source), meant, hole, "it outside the repaired blocks")


def _coding(data: bytes) -> tuple[object, ...]:
    headers, _ = segments.split(data)
    return segments.frame(headers).content, segments.adobe_transform(headers), segments.has_jfif(headers)


def _compare(read: Coefficients, meant: Coefficients, hole: Mask, where: str) -> None:
    touched = touched_cells(hole, *meant.mcu)
    down, across = meant.mcu
    for index, (part, other) in enumerate(zip(meant.components, read.components, strict=True)):
        left_out = touched.repeat(down // part.down // 8, axis=0).repeat(across // part.across // 8, axis=1)
        left_out = left_out[: part.rows, : part.columns]
        if (part.table != other.table).any() or not read.equal(meant, index, left_out):
            raise NotSpliceable(f"the spliced file differs from {where}")


def _colour(headers: list[Segment], channels: int) -> str:
    """The conversion from samples to components, which libjpeg derives from the file's markers."""
    if channels == 1:
        return "grey"
    transform = segments.adobe_transform(headers)
    if channels == 4:
        return "ycck" if transform == 2 else "cmyk"
    if segments.has_jfif(headers):
        return "ycc"
    if transform is not None:
        return "plain" if transform == 0 else "ycc"
    content = segments.frame(headers).content
    ids = bytes(content[6 + 3 * index] for index in range(3))
    return "plain" if ids == b"RGB" else "ycc"


def _repair(coefficients: Coefficients, mcus: NDArray[np.intp], samples: Samples, hole: Mask, kind: str) -> None:
    down, across = coefficients.mcu
    # Beyond the picture's border the last row and column repeat, as in encoders.
    rows = np.minimum(mcus[:, :1] * down + np.arange(down), hole.shape[0] - 1)
    columns = np.minimum(mcus[:, 1:] * across + np.arange(across), hole.shape[1] - 1)
    at = rows[:, :, None], columns[:, None, :]
    inside = (hole[at] > 0).astype(np.float32)
    wanted = _transformed(samples[at].astype(np.float32), kind)
    for index in range(len(coefficients.components)):
        _repair_component(coefficients, index, mcus, wanted[..., index], inside)


def _repair_component(
    coefficients: Coefficients,
    index: int,
    mcus: NDArray[np.intp],
    wanted: NDArray[np.float32],
    inside: NDArray[np.float32],
) -> None:
    """``wanted`` and ``inside`` are ``float32 [n, h, w]`` over whole MCUs."""
    part = coefficients.components[index]
    share = _means(inside, part.down, part.across)
    sums = _means(wanted * inside, part.down, part.across)
    new = np.asarray(sums / np.maximum(share, np.float32(1e-6)), np.float32)
    tall, wide = share.shape[1] // 8, share.shape[2] // 8
    share, new = (_blocks(values, tall, wide) for values in (share, new))
    rows = (mcus[:, 0, None, None] * tall + np.arange(tall)[:, None] + np.zeros((1, wide), int)).reshape(-1)
    columns = (mcus[:, 1, None, None] * wide + np.arange(wide)[None, :] + np.zeros((tall, 1), int)).reshape(-1)
    # Blocks that only pad the last MCU do not exist, and blocks outside the hole stay.
    there = (rows < part.rows) & (columns < part.columns) & share.any(axis=(1, 2))
    rows, columns, share, new = rows[there], columns[there], share[there], new[there]
    old = idctn(coefficients.blocks(index, rows, columns) * part.table, axes=(1, 2), norm="ortho") + 128
    mixed = old * (1 - share) + new * share
    quantised = np.rint(dctn(mixed - 128, axes=(1, 2), norm="ortho") / part.table)
    coefficients.replace(index, rows, columns, np.clip(quantised, -1023, 1023).astype(np.int16))


def _means(values: NDArray[np.float32], down: int, across: int) -> NDArray[np.float32]:
    """``[n, h, w]`` to ``[n, h / down, w / across]``."""
    if down == across == 1:
        return values
    # Of slices: numpy's mean over two short axes takes several times as long.
    total = sum(values[:, row::down, column::across] for row in range(down) for column in range(across))
    return np.asarray(total / np.float32(down * across), np.float32)


def _blocks(values: NDArray[np.float32], tall: int, wide: int) -> NDArray[np.float32]:
    """``[n, 8 tall, 8 wide]`` to ``[n tall wide, 8, 8]``."""
    return values.reshape(-1, tall, 8, wide, 8).swapaxes(2, 3).reshape(-1, 8, 8)


def _transformed(samples: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """``[..., C]`` colours to component values (JFIF 1.02, Rec. 601 full range).

    Inks are stored inverted, and in YCCK as the YCbCr of what their inverse shows (Adobe Technical Note 5116).
    """
    if kind in ("grey", "plain"):
        return samples
    if kind == "cmyk":
        return 255 - samples
    red, green, blue = (samples[..., index] for index in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    values = [luma, (blue - luma) / 1.772 + 128, (red - luma) / 1.402 + 128]
    if kind == "ycck":
        values.append(255 - samples[..., 3])
    return np.stack(values, axis=-1)
