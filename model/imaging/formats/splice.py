"""The JPEG splice: touched MCUs get new DCT coefficients, all others keep theirs bit for bit.

In each touched block the source's samples are restored from its own coefficients without clipping, those in the hole
are replaced, and the block is transformed and quantised with the source's own tables (ITU-T T.81, annex A.3). So a
block that the hole only grazes stays as near to the source as its quantisation allows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from model.imaging.formats import coefficients, segments
from model.imaging.formats.coefficients import Component
from model.imaging.formats.segments import Segment
from model.imaging.picture import Mask, Samples

#: MCUs in one batch, which bounds the memory of a mark that covers the picture.
_BATCH = 1 << 13


def splice(data: bytes, samples: Samples, hole: Mask, kind: str = "") -> bytes:
    """``data`` with the MCUs that ``hole`` touches made anew from ``samples`` (``uint8 [H, W, C]`` as stored).

    ``kind``: how components follow from samples, where the file's own markers do not say it: ``grey`` and ``plain``
    (they are them), ``ycc``, ``cmyk`` (inverted) or ``ycck``. The headers are those of ``data``, without segments
    that describe the picture.

    Raises:
        NotSpliceable: the file's coding is one that cannot be written back.
    """
    headers, _ = segments.split(data)
    kind = kind or _colour(headers, samples.shape[2])

    def repair(components: list[Component]) -> None:
        for mcus in _touched(hole, components):
            _repair(components, mcus, samples, hole, kind)

    return coefficients.edited(data, repair)


def touched_mcus(hole: Mask, across: int, down: int) -> NDArray[np.bool_]:
    """The MCUs of ``across`` x ``down`` px that hold a pixel of ``hole``: ``bool [rows, columns]``."""
    padded = np.pad(hole > 0, ((0, -hole.shape[0] % down), (0, -hole.shape[1] % across)))
    cells = padded.reshape(padded.shape[0] // down, down, padded.shape[1] // across, across)
    return np.asarray(cells.any(axis=(1, 3)))


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


def _touched(hole: Mask, components: list[Component]) -> list[NDArray[np.intp]]:
    """Row and column of the touched MCUs, in batches."""
    across, down = (max(getattr(part, axis) for part in components) * 8 for axis in ("across", "down"))
    mcus = np.argwhere(touched_mcus(hole, across, down))
    return [mcus[at : at + _BATCH] for at in range(0, len(mcus), _BATCH)]


def _repair(components: list[Component], mcus: NDArray[np.intp], samples: Samples, hole: Mask, kind: str) -> None:
    across, down = (max(getattr(part, axis) for part in components) * 8 for axis in ("across", "down"))
    # Beyond the picture's border the last row and column repeat, as in encoders.
    rows = np.minimum(mcus[:, :1] * down + np.arange(down), hole.shape[0] - 1)
    columns = np.minimum(mcus[:, 1:] * across + np.arange(across), hole.shape[1] - 1)
    at = rows[:, :, None], columns[:, None, :]
    inside = (hole[at] > 0).astype(np.float32)
    wanted = _transformed(samples[at].astype(np.float32), kind)
    for index, part in enumerate(components):
        _repair_component(part, mcus, wanted[..., index], inside)


def _repair_component(
    part: Component, mcus: NDArray[np.intp], wanted: NDArray[np.float32], inside: NDArray[np.float32]
) -> None:
    """``wanted`` and ``inside`` are ``float32 [n, h, w]`` over whole MCUs."""
    count, height, width = wanted.shape
    cells = (count, height // part.down, part.down, width // part.across, part.across)
    share = inside.reshape(cells).mean(axis=(2, 4))
    new = (wanted * inside).reshape(cells).mean(axis=(2, 4)) / np.maximum(share, 1e-6)
    tall, wide = share.shape[1] // 8, share.shape[2] // 8
    share, new = (_blocks(values, tall, wide) for values in (share, new))
    total_rows, total_columns = part.coefficients.shape[:2]
    rows = (mcus[:, 0, None, None] * tall + np.arange(tall)[:, None] + np.zeros((1, wide), int)).reshape(-1)
    columns = (mcus[:, 1, None, None] * wide + np.arange(wide)[None, :] + np.zeros((tall, 1), int)).reshape(-1)
    # Blocks that only pad the last MCU do not exist, and blocks outside the hole stay.
    there = (rows < total_rows) & (columns < total_columns) & share.any(axis=(1, 2))
    rows, columns, share, new = rows[there], columns[there], share[there], new[there]
    old = idctn(part.coefficients[rows, columns] * part.table, axes=(1, 2), norm="ortho") + 128
    mixed = old * (1 - share) + new * share
    quantised = np.rint(dctn(mixed - 128, axes=(1, 2), norm="ortho") / part.table)
    part.coefficients[rows, columns] = np.clip(quantised, -1023, 1023).astype(np.int16)


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
