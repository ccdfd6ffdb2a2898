"""WebP and animated WebP, chunk by chunk: only the bitstreams are encoded again, every other chunk is copied.

WebP Container Specification (RFC 9649). A lossy file is encoded again near its own size, within the bound on the loss.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageRejected
from model.imaging.formats.sizing import LEAST_DB, Coded, within_bound
from model.imaging.loss import similarity_db
from model.imaging.picture import Edit, Page, Pixels, Samples, Written
from model.imaging.probing import each_frame, load

Chunk = tuple[bytes, bytes]
_BITSTREAM = {b"VP8 ", b"VP8L", b"ALPH"}
#: Flags of VP8X.
_ANIMATION, _XMP, _ALPHA = 0x02, 0x04, 0x10
#: Flag of a frame: it replaces what is below it, transparent pixels too.
_NO_BLENDING = 0x02


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


def write(data: bytes, edits: list[Edit], lossless: bool, xmp: bytes | None = None) -> Written:
    """``data`` with its pages edited; ``xmp`` replaces its XMP packet."""
    parts = chunks(data)
    out: list[Chunk] = []
    frames = iter(edits)
    animated = any(name == b"ANMF" for name, _ in parts)
    coded_parts: list[_Bitstream] = []
    for name, content in parts:
        if name == b"ANMF":
            edit = next(frames)
            frame = _frame(content, edit)
            if frame is None:
                out.append((name, content))
                continue
            inner = [part for part in _inner(content) if part[0] not in _BITSTREAM]
            out.append((name, content[:16] + _listed([*frame.parts, *inner])))
            coded_parts.append(frame)
        elif name not in _BITSTREAM:
            out.append((name, content))
        elif name in (b"VP8 ", b"VP8L") and not animated:
            size = len(content) + sum(len(other) for also, other in parts if also == b"ALPH")
            still = _bitstream(edits[0].samples, edits[0].hole > 0, lossless, size)
            out += still.parts
            coded_parts.append(still)
    file = joined(_extended(out, edits[0].samples, xmp))
    if lossless:
        return Written(file, "lossless")
    similarity = min((part.similarity_db for part in coded_parts), default=math.inf)
    reason = ""
    if any(part.became_lossless for part in coded_parts):
        reason = f"It is coded without loss, as no lossy quality keeps the bound of {LEAST_DB:.0f} dB."
    return Written(file, "recoded", reason, similarity_db=similarity)


@dataclass(frozen=True)
class _Bitstream:
    """The chunks of a coded picture or frame."""

    parts: list[Chunk] = field(repr=False)
    similarity_db: float
    #: Whether it is lossless where the source was not.
    became_lossless: bool = False


def _frame(content: bytes, edit: Edit) -> _Bitstream | None:
    """The bitstream of an ANMF chunk after the repair; ``None`` if it shows no repaired pixel."""
    left, top, width, height = (int.from_bytes(content[at : at + 3], "little") for at in (0, 3, 6, 9))
    window = np.s_[2 * top : 2 * top + height + 1, 2 * left : 2 * left + width + 1]
    inside = edit.hole[window] > 0
    if not inside.any():
        return None
    inner = _inner(content)
    still = [part for part in inner if part[0] in _BITSTREAM]
    if any(name == b"ALPH" for name, _ in still):
        size = width.to_bytes(3, "little") + height.to_bytes(3, "little")
        still.insert(0, (b"VP8X", bytes((_ALPHA, 0, 0, 0)) + size))
    with Image.open(io.BytesIO(joined(still))) as image:
        load(image, ImageRejected, "image")
        samples = np.array(image, np.uint8)
    meant = edit.samples[window]
    if samples.shape[2] == 4 and not content[15] & _NO_BLENDING:
        # Transparent pixels of a frame show the frame before it, which is repaired as well.
        inside &= samples[..., 3] > 0
    channels = min(samples.shape[2], meant.shape[2])
    samples[..., :channels][inside] = meant[..., :channels][inside]
    lossless = all(name != b"VP8 " for name, _ in still)
    size_before = sum(len(part) for name, part in inner if name in _BITSTREAM)
    return _bitstream(samples, inside, lossless, size_before)


def _bitstream(samples: Samples, inside: NDArray[np.bool_], lossless: bool, size: int) -> _Bitstream:
    """``samples`` coded near ``size`` bytes, and within the bound on the loss where ``inside`` does not hold."""
    image = Image.fromarray(np.ascontiguousarray(samples))
    outside = np.where(inside, np.uint8(0), np.uint8(255))

    def encode(quality: int) -> Coded:
        file = _encoded(image, quality, lossless=False)
        written = samples_of(file, samples)
        similarity = similarity_db(samples, written, outside, alpha=samples.shape[2] == 4)
        return Coded(file, similarity)

    coded = None if lossless else within_bound(encode, size)
    file = coded.data if coded else _encoded(image, 80, lossless=True)
    parts = [part for part in chunks(file) if part[0] in _BITSTREAM]
    return _Bitstream(parts, coded.similarity_db if coded else math.inf, coded is None and not lossless)


def samples_of(data: bytes, like: Samples) -> Samples:
    """The samples of a still file, by another decoder than the one that reads sources, with the channels of ``like``.

    An alpha channel that a file leaves out because all of it is opaque is added.
    """
    decoded = np.asarray(imagecodecs.webp_decode(data))
    if decoded.shape[2] < like.shape[2]:
        decoded = np.dstack((decoded, np.full(decoded.shape[:2], 255, np.uint8)))
    return decoded


def _encoded(image: Image.Image, quality: int, *, lossless: bool) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=quality, method=4, lossless=lossless, exact=True, alpha_quality=100)
    return out.getvalue()


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
