"""ISO base media files (ISO/IEC 14496-12): boxes, and the items and properties of a picture (ISO/IEC 23008-12).

No available encoder writes AVIF of more than 8 bits together with metadata: :func:`described` adds the metadata to an
encoder's file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

#: C2PA Technical Specification 2.1, section "Embedding manifests into BMFF-based assets".
C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
#: Properties that say something about a picture rather than how its samples are coded: profile, turn, cut, shape of a
#: pixel, levels of light, description.
_DESCRIBING = frozenset(
    {b"colr", b"irot", b"imir", b"clap", b"pasp", b"clli", b"mdcv", b"cclv", b"amve", b"udes", b"altt"}
)
#: Properties that a viewer must apply: turn and cut.
_ESSENTIAL = frozenset({b"irot", b"imir", b"clap"})
#: The media type of an XMP packet's item.
XMP_TYPE = b"application/rdf+xml"
#: Header size of a full box: version and flags follow its size and type.
_FULL = 12


@dataclass(frozen=True)
class Item:
    """An item of metadata about the picture."""

    #: ``Exif``, or ``mime`` with its media type.
    kind: bytes
    content: bytes
    media_type: bytes = b""


class NotDescribable(ValueError):
    """An encoder's file has an unknown layout."""


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Types and bytes of the boxes of a file's first level, or of a box's content (section 4.2)."""
    listed, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:
            size = len(data) - at
        if size < 8:
            break
        listed.append((data[at + 4 : at + 8], data[at : at + size]))
        at += size
    return listed


def c2pa(data: bytes) -> bytes:
    """The unchanged first-level boxes with C2PA manifests; empty without one."""
    return b"".join(box for kind, box in boxes(data) if kind == b"uuid" and box[8:24] == C2PA_BOX)


def properties(data: bytes) -> list[tuple[bytes, bytes]]:
    """Types and bytes of the picture's properties, in their order; empty if the file does not list them."""
    try:
        return _properties(data)
    except (KeyError, IndexError, struct.error):
        return []


def auxiliary_types(data: bytes) -> list[bytes]:
    """The types of the auxiliary pictures (auxC, ISO/IEC 23008-12, 6.5.8): URNs."""
    properties_box = _metadata(data).get(b"iprp", b"")
    every = dict(boxes(properties_box[8:])).get(b"ipco", b"")
    return [box[_FULL:].split(b"\0")[0] for kind, box in boxes(every[8:]) if kind == b"auxC"]


def item_types(data: bytes) -> list[bytes]:
    """The types of the items (infe, ISO/IEC 14496-12, 8.11.6)."""
    listed = _metadata(data).get(b"iinf", b"")
    entries = boxes(listed[_FULL + (2 if listed[8:9] == b"\0" else 4) :])
    # Version, flags, number of the item (2 or 4 bytes by the version), protection; then the type.
    return [
        box[_FULL + 4 :][:4] if box[8:9] < b"\3" else box[_FULL + 6 :][:4] for kind, box in entries if kind == b"infe"
    ]


def described_items(data: bytes) -> list[Item]:
    """EXIF and XMP as the file holds them, each found by its place (iloc); empty if the file does not list them."""
    try:
        return _described_items(data)
    except (KeyError, IndexError, struct.error):
        return []


def reference_types(data: bytes) -> list[bytes]:
    """The types of the references between items (iref, ISO/IEC 14496-12, 8.11.12)."""
    return [kind for kind, _ in boxes(_metadata(data).get(b"iref", b"")[_FULL:])]


def _metadata(data: bytes) -> dict[bytes, bytes]:
    """The boxes of the file's metadata; empty without one."""
    return dict(boxes(dict(boxes(data)).get(b"meta", b"")[_FULL:]))


def describing(of_picture: list[tuple[bytes, bytes]]) -> list[bytes]:
    """The picture's properties that a new encoding of it does not contain."""
    return [box for kind, box in of_picture if kind in _DESCRIBING and not (kind == b"colr" and box[8:12] == b"nclx")]


def described(coded: bytes, descriptive: list[bytes], items: list[Item]) -> bytes:
    """``coded``, as an encoder made it, with further properties ``descriptive`` of its picture and further ``items``.

    Turns and cuts are listed for the alpha plane too, so that both appear alike (ISO/IEC 23000-22, 7.3.5).

    Raises:
        NotDescribable: ``coded`` has another layout than libavif's.
    """
    if not descriptive and not items:
        return coded
    outer = boxes(coded)
    try:
        meta = next(box for kind, box in outer if kind == b"meta")
        inner = dict(boxes(meta[_FULL:]))
        places = _places(inner[b"iloc"])
        primary = _primary(inner)
        first = max(places) + 1
        parts = {
            b"hdlr": inner[b"hdlr"],
            b"pitm": inner[b"pitm"],
            b"iloc": b"",
            b"iinf": _with_items(inner[b"iinf"], first, items),
            b"iref": _with_references(inner.get(b"iref"), first, len(items), primary),
            b"iprp": _with_properties(inner[b"iprp"], descriptive, primary),
        }
    except (KeyError, IndexError, StopIteration, struct.error) as error:
        raise NotDescribable(f"no such part: {error}") from error
    if inner.keys() - parts.keys() or [kind for kind, _ in outer] != [b"ftyp", b"meta", b"mdat"]:
        raise NotDescribable(f"unknown parts: {[*inner]} in {[kind for kind, _ in outer]}")
    mdat = outer[2][1]
    # The places depend on the length of the list of places, which depends only on their number.
    parts[b"iloc"] = _listed(places | dict.fromkeys(range(first, first + len(items)), (0, 0)))
    grown = sum(map(len, parts.values())) + _FULL - len(meta)
    at = len(coded) + grown
    places = {number: (start + grown, length) for number, (start, length) in places.items()}
    for number, item in enumerate(items, start=first):
        places[number] = at, len(item.content)
        at += len(item.content)
    parts[b"iloc"] = _listed(places)
    data = mdat[8:] + b"".join(item.content for item in items)
    return outer[0][1] + _box(b"meta", meta[8:_FULL] + b"".join(parts.values())) + _box(b"mdat", data)


def _described_items(data: bytes) -> list[Item]:
    parts = _metadata(data)
    extents = _extents(parts[b"iloc"])
    stored = {0: data, 1: parts.get(b"idat", b"")[8:]}
    listed = parts[b"iinf"]
    items = []
    for kind, box in boxes(listed[_FULL + (2 if listed[8:9] == b"\0" else 4) :]):
        if kind != b"infe" or box[8:9] < b"\2":
            continue
        number, start = (int.from_bytes(box[12:14]), 16) if box[8:9] == b"\2" else (int.from_bytes(box[12:16]), 18)
        item_type = box[start : start + 4]
        media_type = box[start + 4 :].split(b"\0")[1] if item_type == b"mime" else b""
        if item_type != b"Exif" and media_type != XMP_TYPE:
            continue
        method, places = extents[number]
        content = b"".join(stored[method][at : at + length] for at, length in places)
        items.append(Item(item_type, content, media_type))
    return items


def _extents(iloc: bytes) -> dict[int, tuple[int, list[tuple[int, int]]]]:
    """Of each item, how it is stored (0: in the file, 1: in idat) and its parts, each a start and a length.

    ISO/IEC 14496-12, section 8.11.3.
    """
    version, at = iloc[8], 14
    sizes = [iloc[12] >> 4, iloc[12] & 15, iloc[13] >> 4, iloc[13] & 15 if version else 0]
    long_ids = version == 2
    count = int.from_bytes(iloc[at : at + (4 if long_ids else 2)])
    at += 4 if long_ids else 2

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(iloc):
            raise IndexError("the list of places is cut off")
        return int.from_bytes(iloc[at - size : at])

    listed = {}
    for _ in range(count):
        item = number(4 if long_ids else 2)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(sizes[2])
        parts = []
        for _ in range(number(2)):
            number(sizes[3])
            start = base + number(sizes[0])
            parts.append((start, number(sizes[1])))
        listed[item] = method, parts
    return listed


def _properties(data: bytes) -> list[tuple[bytes, bytes]]:
    meta = dict(boxes(data))[b"meta"]
    inner = dict(boxes(meta[_FULL:]))
    parts = dict(boxes(inner[b"iprp"][8:]))
    every = boxes(parts[b"ipco"][8:])
    of_picture = _associations(parts[b"ipma"])[_primary(inner)]
    return [every[index - 1] for index in of_picture if 0 < index <= len(every)]


def _associations(ipma: bytes) -> dict[int, list[int]]:
    """Numbers of each item's properties, from 1 on (ISO/IEC 23008-12, section 9.3)."""
    wide_ids, wide = ipma[8] > 0, bool(ipma[11] & 1)
    numbers, at = {}, 16
    for _ in range(struct.unpack_from(">I", ipma, _FULL)[0]):
        number, count = struct.unpack_from(">IB" if wide_ids else ">HB", ipma, at)
        at += 5 if wide_ids else 3
        listed = struct.unpack_from(f">{count}{'H' if wide else 'B'}", ipma, at)
        at += count * (2 if wide else 1)
        numbers[number] = [index & (0x7FFF if wide else 0x7F) for index in listed]
    return numbers


def _primary(inner: dict[bytes, bytes]) -> int:
    pitm = inner[b"pitm"]
    return int(struct.unpack_from(">I" if pitm[8] else ">H", pitm, _FULL)[0])


def _places(iloc: bytes) -> dict[int, tuple[int, int]]:
    """Start and length of each item, from the list of version 0 that libavif writes."""
    if iloc[8:14] != b"\0\0\0\0\x44\0":
        raise NotDescribable(f"a list of places of another kind: {iloc[8:14].hex()}")
    places = {}
    for index in range(struct.unpack_from(">H", iloc, 14)[0]):
        number, _, extents, start, length = struct.unpack_from(">HHHII", iloc, 16 + 14 * index)
        if extents != 1:
            raise NotDescribable(f"an item of {extents} parts")
        places[number] = start, length
    return places


def _listed(places: dict[int, tuple[int, int]]) -> bytes:
    entries = (struct.pack(">HHHII", number, 0, 1, start, length) for number, (start, length) in places.items())
    return _box(b"iloc", b"\0\0\0\0\x44\0" + struct.pack(">H", len(places)) + b"".join(entries))


def _with_items(iinf: bytes, first: int, items: list[Item]) -> bytes:
    count = struct.unpack_from(">H", iinf, _FULL)[0]
    entries = b""
    for number, item in enumerate(items, start=first):
        named = struct.pack(">HH4s", number, 0, item.kind) + b"\0"
        entries += _box(b"infe", b"\2\0\0\0" + named + (item.media_type + b"\0" if item.media_type else b""))
    return _box(b"iinf", iinf[8:_FULL] + struct.pack(">H", count + len(items)) + iinf[14:] + entries)


def _with_references(iref: bytes | None, first: int, count: int, primary: int) -> bytes:
    """Each new item describes the picture (``cdsc``)."""
    if not count:
        return iref or b""
    added = b"".join(_box(b"cdsc", struct.pack(">HHH", number, 1, primary)) for number in range(first, first + count))
    return _box(b"iref", (b"\0\0\0\0" if iref is None else iref[8:]) + added)


def _with_properties(iprp: bytes, descriptive: list[bytes], primary: int) -> bytes:
    parts = dict(boxes(iprp[8:]))
    ipco, ipma = parts[b"ipco"], parts[b"ipma"]
    first = len(boxes(ipco[8:])) + 1
    if ipma[8:_FULL] != b"\0\0\0\0" or first + len(descriptive) > 0x7F:
        raise NotDescribable("properties listed in another way")
    out, at = ipma[8:16], 16
    for _ in range(struct.unpack_from(">I", ipma, _FULL)[0]):
        number, count = struct.unpack_from(">HB", ipma, at)
        kept = ipma[at + 3 : at + 3 + count]
        at += 3 + count
        added = bytes(
            index | (0x80 if box[4:8] in _ESSENTIAL else 0)
            for index, box in enumerate(descriptive, start=first)
            if number == primary or box[4:8] in _ESSENTIAL
        )
        out += struct.pack(">HB", number, count + len(added)) + kept + added
    return _box(b"iprp", _box(b"ipco", ipco[8:] + b"".join(descriptive)) + _box(b"ipma", out))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content
