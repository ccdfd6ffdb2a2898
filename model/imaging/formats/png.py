"""PNG and animated PNG, chunk by chunk: only the picture data is made anew, every other chunk is the source's own.

An animation's frames are repaired as a person sees them, and each stored frame that shows a repaired pixel is made
anew; timing, placing and disposal stay. Portable Network Graphics Specification (Third Edition), W3C 2025.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import replace

import imagecodecs
import numpy as np
from PIL import Image

from model.errors import ImageRejected
from model.imaging.formats.palettes import Palette, packed_bits
from model.imaging.formats.png_chunks import (
    CHANNELS,
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGB_ALPHA,
    XMP_KEYWORD,
    Chunk,
    Header,
    chunks,
    has_untold_frames,
    header,
    joined,
    whole_frames,
)
from model.imaging.picture import Edit, Page, Samples
from model.imaging.probing import DAMAGE, damaged, each_frame, load

#: The place of the kind of blending in fcTL: 1 lays a frame over the one before.
_BLENDING_AT = 25
_MODES = {GREY: "L", RGB: "RGB", GREY_ALPHA: "LA", RGB_ALPHA: "RGBA"}

#: First row and column of each pass of an interlaced picture, and the steps between them.
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def read(data: bytes, image: Image.Image, frames: int) -> list[Page]:
    """The only picture, or every frame of an animation as it is seen.

    Raises:
        ImageRejected: the pixels are damaged, or more frames follow than the header says.
    """
    if has_untold_frames(data):
        raise ImageRejected(
            "image_unreadable", "The image is an animation of more frames than its header says: export it again."
        )
    if frames == 1:
        return [_still(data, image)]
    return [Page(np.array(frame.convert("RGBA"), np.uint8), "rgb", alpha=True) for frame in each_frame(image, frames)]


def write(data: bytes, edits: list[Edit], xmp: bytes | None = None) -> bytes:
    """``data`` with its pages edited; ``xmp`` replaces its XMP packet."""
    parts = list(chunks(data))
    head = header(data)
    parts = _animated(parts, head, edits) if len(edits) > 1 else _replaced(parts, head, edits[0])
    return joined(_with_xmp(parts, xmp) if xmp is not None else parts)


def _still(data: bytes, image: Image.Image) -> Page:
    """The picture; a colour that stands for transparency (tRNS) is an alpha channel of 0 and the most."""
    head = header(data)
    load(image, ImageRejected, "image")
    if head.kind == PALETTE:
        alpha = "transparency" in image.info
        if not len(_palette(list(chunks(data))).colours):
            raise ImageRejected("image_unreadable", "The image's palette has no colours: export it again.")
        return Page(np.array(image.convert("RGBA" if alpha else "RGB"), np.uint8), "rgb", alpha)
    alpha = head.kind in (GREY_ALPHA, RGB_ALPHA)
    grey = head.kind in (GREY, GREY_ALPHA)
    if head.depth == 16:
        try:
            samples = _deep(data, head)[..., : CHANNELS[head.kind]]
        except (*DAMAGE, zlib.error) as error:
            raise damaged(error, ImageRejected, "image") from None
    elif grey:
        samples = np.array(image.convert("LA" if alpha else "L"), np.uint8).reshape(head.height, head.width, -1)
    else:
        samples = np.array(image, np.uint8)
    key = _keyed(list(chunks(data)), head)
    if key is not None:
        opaque = np.where((samples == key).all(axis=2), 0, np.iinfo(samples.dtype).max).astype(samples.dtype)
        samples = np.dstack((samples, opaque))
    return Page(samples, "grey" if grey else "rgb", alpha or key is not None)


def _deep(data: bytes, head: Header) -> Samples:
    """16-bit samples ``[H, W, C]``. The decoder reads no interlaced ones, so each pass is put alone into a file."""
    if not head.interlaced:
        return np.asarray(imagecodecs.png_decode(data)).reshape(head.height, head.width, -1)
    pixel = 2 * CHANNELS[head.kind]
    samples = np.zeros((head.height, head.width, CHANNELS[head.kind]), np.uint16)
    places = [samples[top::down, left::across] for top, left, down, across in _ADAM7]
    packed = b"".join(content for name, content in chunks(data) if name == b"IDAT")
    rows = zlib.decompressobj().decompress(packed, samples.nbytes + 7 * head.height + 7)
    at = 0
    for place in places:
        if place.size:
            own = replace(head, height=place.shape[0], width=place.shape[1], interlaced=False)
            end = at + own.height * (1 + own.width * pixel)
            file = joined([(b"IHDR", own.content()), (b"IDAT", zlib.compress(rows[at:end], 1)), (b"IEND", b"")])
            place[...] = np.asarray(imagecodecs.png_decode(file)).reshape(place.shape)
            at = end
    return samples


def _replaced(parts: list[Chunk], head: Header, edit: Edit) -> list[Chunk]:
    """``parts`` with other picture data."""
    if head.kind == PALETTE:
        palette = _palette(parts)
        indices = _indices(joined(parts), head)
        palette.paint(indices, edit.samples, edit.hole > 0, capacity=1 << head.depth)
        parts = [(name, palette.colours.tobytes() if name == b"PLTE" else content) for name, content in parts]
        content = _encoded(indices, head)
    else:
        content = _encoded(_unkeyed(_keyed(parts, head), head, edit), head)
    return _with_picture_data(parts, content)


def _with_picture_data(parts: list[Chunk], content: bytes) -> list[Chunk]:
    out: list[Chunk] = []
    for name, old in parts:
        if name != b"IDAT":
            out.append((name, old))
        elif not any(done == b"IDAT" for done, _ in out):
            out.append((name, content))
    return out


def _encoded(samples: Samples, head: Header) -> bytes:
    """The content of IDAT for samples (``[H, W, C]``), or a palette's indices (``[H, W]``)."""
    if not head.interlaced:
        return _filtered(samples, head)
    # Each pass is coded as a picture of its own (specification, section 8.1); they share one zlib stream.
    passes = [samples[top::down, left::across] for top, left, down, across in _ADAM7]
    return zlib.compress(b"".join(zlib.decompress(_filtered(part, head)) for part in passes if part.size), 9)


def _filtered(samples: Samples, head: Header) -> bytes:
    if samples.ndim == 2:
        return _packed(samples, head.depth)
    if head.depth < 8:
        top = (1 << head.depth) - 1
        return _packed(np.rint(samples[..., 0] * (top / 255)).astype(np.uint8), head.depth)
    flat = np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    if head.depth == 16:
        # numpy gives sides of one pixel strides of any length, which the encoder refuses.
        file = bytes(imagecodecs.png_encode(flat.reshape(-1).reshape(flat.shape), level=6))
    else:
        out = io.BytesIO()
        Image.fromarray(flat, _MODES[head.kind]).save(out, "PNG")
        file = out.getvalue()
    return b"".join(content for name, content in chunks(file) if name == b"IDAT")


def _packed(values: Samples, depth: int) -> bytes:
    """Rows of samples of 1 to 8 bits without a filter, which suits palettes best (specification, section 12.7)."""
    return zlib.compress(np.pad(packed_bits(values, depth), ((0, 0), (1, 0))).tobytes(), 9)


def _indices(still: bytes, head: Header) -> Samples:
    with Image.open(io.BytesIO(still)) as image:
        load(image, ImageRejected, "image")
        return np.array(image, np.uint8).reshape(head.height, head.width)


def _palette(parts: list[Chunk]) -> Palette:
    named = dict(reversed(parts))
    return Palette.of(named.get(b"PLTE", b""), named.get(b"tRNS", b""))


def _keyed(parts: list[Chunk], head: Header) -> Samples | None:
    """The colour that stands for transparency (tRNS) on the scale of the samples; ``None`` without one."""
    key = dict(reversed(parts)).get(b"tRNS")
    if key is None or head.kind not in (GREY, RGB) or len(key) < 2 * CHANNELS[head.kind]:
        return None
    colour = np.frombuffer(key[: 2 * CHANNELS[head.kind]], ">u2").astype(np.uint16)
    return colour if head.depth >= 8 else colour * np.uint16(255 // ((1 << head.depth) - 1))


def _unkeyed(colour: Samples | None, head: Header, edit: Edit) -> Samples:
    """The samples without the alpha that ``colour`` stands for: in the hole, transparent pixels have it, others not."""
    if colour is None:
        return edit.samples
    samples, alpha = edit.samples[..., :-1].copy(), edit.samples[..., -1]
    inside = edit.hole > 0
    clear = inside & (alpha <= np.iinfo(alpha.dtype).max // 2)
    step = 255 // ((1 << head.depth) - 1) if head.depth < 8 else 1
    hit = inside & ~clear & (np.abs(samples.astype(np.int32) - colour) * 2 <= step - 1).all(axis=2)
    samples[clear] = colour
    if head.depth > 1:  # one bit has but the opposite
        samples[hit, 0] = colour[0] - step if colour[0] >= step else step
    return samples


def _animated(parts: list[Chunk], head: Header, edits: list[Edit]) -> list[Chunk]:
    """Each stored frame that shows a repaired pixel made anew, in place of its IDAT or fdAT chunks."""
    shared = [part for part in parts if part[0] in (b"PLTE", b"tRNS")]
    out: list[Chunk] = []
    frames = iter(edits)
    sequence = 0
    for name, content in whole_frames(parts):
        if name == b"fcTL":
            control = content
            out.append((name, sequence.to_bytes(4, "big") + content[4:]))
            sequence += 1
        elif name == b"IDAT":
            # Without a control before it, it is for programs that show no animation.
            first = not any(done == b"fcTL" for done, _ in out)
            placed = b"\0" * 4 + head.content()[:8] + b"\0" * 8 if first else control
            out.append((name, _frame(head, shared, placed, content, next(frames))))
        elif name == b"fdAT":
            out.append((name, sequence.to_bytes(4, "big") + _frame(head, shared, control, content, next(frames))))
            sequence += 1
        else:
            out.append((name, content))
    return out


def _frame(head: Header, shared: list[Chunk], control: bytes, content: bytes, edit: Edit) -> bytes:
    """A stored frame's picture data after the repair; its own where it shows none of it."""
    width, height, left, top = (int.from_bytes(control[at : at + 4], "big") for at in (4, 8, 12, 16))
    inside = edit.hole[top : top + height, left : left + width] > 0
    if not inside.any():
        return content
    own = replace(head, width=width, height=height)
    still = joined([(b"IHDR", own.content()), *shared, (b"IDAT", content), (b"IEND", b"")])
    with Image.open(io.BytesIO(still)) as image:
        before = _still(still, image)
    samples = before.samples.copy()
    if before.alpha and control[_BLENDING_AT : _BLENDING_AT + 1] == b"\1":
        # Transparent pixels of a frame show the frame before it, which is repaired as well.
        inside &= samples[..., -1] > 0
    meant = edit.samples[top : top + height, left : left + width]
    if samples.dtype == np.uint16:
        meant = meant.astype(np.uint16) * 257
    channels = 1 if before.colour == "grey" else 3
    samples[..., :channels][inside] = meant[..., :channels][inside]
    if before.alpha:
        samples[..., -1][inside] = meant[..., -1][inside]
    if head.kind == PALETTE:
        palette, indices = _palette(shared), _indices(still, own)
        palette.paint(indices, samples, inside)
        return _encoded(indices, own)
    shown = np.where(inside, np.uint8(255), np.uint8(0))
    return _encoded(_unkeyed(_keyed(shared, own), own, Edit(samples, shown)), own)


def _with_xmp(parts: list[Chunk], xmp: bytes) -> list[Chunk]:
    """``parts`` with this XMP packet in place of theirs (XMP specification part 3, section 1.1.5)."""
    kept = [part for part in parts if not (part[0] == b"iTXt" and part[1].startswith(XMP_KEYWORD))]
    return [kept[0], (b"iTXt", XMP_KEYWORD + b"\0" * 5 + xmp), *kept[1:]]


def profile_chunk(profile: bytes) -> Chunk:
    """An ICC profile as iCCP."""
    return b"iCCP", b"ICC profile\0\0" + zlib.compress(profile, 9)
