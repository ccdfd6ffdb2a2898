"""WebP and animated WebP, chunk by chunk: only the bitstreams are encoded again, every other chunk is copied.

WebP Container Specification (RFC 9649). A lossy file is encoded again at the quality whose size is nearest to its own.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from model.errors import ImageRejected
from model.imaging.formats.sizing import nearest_size
from model.imaging.picture import Edit, Page, Pixels, Samples
from model.imaging.probing import each_frame, load

Chunk = tuple[bytes, bytes]
_BITSTREAM = {b"VP8 ", b"VP8L", b"ALPH"}
#: Flags of VP8X.
_ANIMATION, _XMP, _ALPHA = 0x02, 0x04, 0x10


def chunks(data: bytes) -> list[Chunk]:
    """Names and contents of a RIFF file's chunks (or, from byte 0, of a list of them)."""
    parts, at = [], 12
    end = min(len(data), int.from_bytes(data[4:8], "little") + 8)
    while at + 8 <= end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        parts.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return parts


def joined(parts: list[Chunk]) -> bytes:
    """A WebP file of these chunks."""
    body = b"WEBP" + _listed(parts)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def is_lossless(data: bytes) -> bool:
    """Whether every bitstream of the file is lossless."""
    parts = chunks(data)
    names = {name for name, _ in parts} | {
        name for frame, content in parts if frame == b"ANMF" for name, _ in _inner(content)
    }
    return b"VP8 " not in names


def read(image: Image.Image, frames: int) -> list[Page]:
    """Read the only picture, or every frame of an animation as displayed.

    Raises:
        ImageRejected: the pixels are damaged.
    """
    return [Page(np.array(frame, np.uint8), "rgb", alpha=frame.mode == "RGBA") for frame in each_frame(image, frames)]


def write(data: bytes, edits: list[Edit], lossless: bool, xmp: bytes | None = None) -> bytes:
    """``data`` with its pages edited; ``xmp`` replaces its XMP packet."""
    parts = chunks(data)
    out: list[Chunk] = []
    frames = iter(edits)
    animated = any(name == b"ANMF" for name, _ in parts)
    for name, content in parts:
        if name == b"ANMF":
            out.append((name, _frame(content, next(frames))))
        elif name not in _BITSTREAM:
            out.append((name, content))
        elif name in (b"VP8 ", b"VP8L") and not animated:
            size = len(content) + sum(len(other) for also, other in parts if also == b"ALPH")
            out += _bitstream(edits[0].samples, lossless, size)
    return joined(_extended(out, edits[0].samples, xmp))


def _frame(content: bytes, edit: Edit) -> bytes:
    """One ANMF chunk after the repair; the source's chunk if it shows no repaired pixel."""
    left, top, width, height = (int.from_bytes(content[at : at + 3], "little") for at in (0, 3, 6, 9))
    window = np.s_[2 * top : 2 * top + height + 1, 2 * left : 2 * left + width + 1]
    inside = edit.hole[window] > 0
    if not inside.any():
        return content
    inner = _inner(content)
    still = [part for part in inner if part[0] in _BITSTREAM]
    if any(name == b"ALPH" for name, _ in still):
        size = width.to_bytes(3, "little") + height.to_bytes(3, "little")
        still.insert(0, (b"VP8X", bytes((_ALPHA, 0, 0, 0)) + size))
    with Image.open(io.BytesIO(joined(still))) as image:
        load(image, ImageRejected, "image")
        samples = np.array(image, np.uint8)
    if samples.shape[2] == 4:
        # Transparent pixels of a frame show the frame before it, which is repaired as well.
        inside &= samples[..., 3] > 0
    samples[..., :3][inside] = edit.samples[window][..., :3][inside]
    lossless = all(name != b"VP8 " for name, _ in still)
    size_before = sum(len(part) for name, part in inner if name in _BITSTREAM)
    kept = [part for part in inner if part[0] not in _BITSTREAM]
    return content[:16] + _listed([*_bitstream(samples, lossless, size_before), *kept])


def _bitstream(samples: Samples, lossless: bool, size: int) -> list[Chunk]:
    image = Image.fromarray(np.ascontiguousarray(samples))
    encode = _encoder(image, lossless)
    file = encode(80) if lossless else nearest_size(encode, size)
    return [part for part in chunks(file) if part[0] in _BITSTREAM]


def _encoder(image: Image.Image, lossless: bool) -> Callable[[int], bytes]:
    def encode(quality: int) -> bytes:
        out = io.BytesIO()
        image.save(out, "WEBP", quality=quality, method=4, lossless=lossless, exact=True, alpha_quality=100)
        return out.getvalue()

    return encode


def _extended(parts: list[Chunk], samples: Pixels, xmp: bytes | None) -> list[Chunk]:
    """``parts`` with a leading VP8X if one is needed, and with ``xmp`` as their XMP packet."""
    if xmp is not None:
        parts = [*(part for part in parts if part[0] != b"XMP "), (b"XMP ", xmp)]
    size = (samples.shape[1] - 1).to_bytes(3, "little") + (samples.shape[0] - 1).to_bytes(3, "little")
    needed = any(name not in (b"VP8 ", b"VP8L") for name, _ in parts)
    if needed and parts[0][0] != b"VP8X":
        parts = [(b"VP8X", bytes((_ALPHA if samples.shape[2] == 4 else 0, 0, 0, 0)) + size), *parts]
    if xmp is not None:
        flags = parts[0][1]
        parts[0] = (b"VP8X", bytes((flags[0] | _XMP,)) + flags[1:])
    return parts


def _inner(frame: bytes) -> list[Chunk]:
    return chunks(b"RIFF" + (len(frame) - 16 + 4).to_bytes(4, "little") + b"WEBP" + frame[16:])


def _listed(parts: list[Chunk]) -> bytes:
    out = []
    for name, content in parts:
        out += [name, len(content).to_bytes(4, "little"), content, b"\0" * (len(content) % 2)]
    return b"".join(out)
