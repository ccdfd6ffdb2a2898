"""Places in a TIFF: new strips take the places of the old ones, and directories are updated. TIFF 6.0; BigTIFF."""

from __future__ import annotations

import bisect
import struct
from typing import Any

_OFFSETS, _COUNTS = {273, 324}, {279, 325}
#: Flag of NewSubfileType: a copy of another picture of the file at a lower resolution.
_SMALLER = 1
#: Kinds of fields that hold bytes: numbers, text, anything.
_BYTE, _BYTES = 1, {1, 2, 7}

#: First byte, and the byte after the last.
Range = tuple[int, int]


def pages_of(file: Any) -> list[Any]:
    """The pages, and after them the smaller copies below pages (SubIFDs, TIFF supplement 1)."""
    pages = list(file.pages)
    return pages + [copy for page in pages for copy in page.pages or () if copy.subfiletype & _SMALLER]


def laid_in(data: bytes, file: Any, strips: list[dict[int, bytes]]) -> bytes:
    """``data`` with new ``strips`` (of each page, by number): the places of the old ones first, else at the end.

    Remains of the old strips are overwritten with zeros, because they show the mark.
    """
    out = bytearray(data)
    pages = pages_of(file)
    places = [[*page.dataoffsets] for page in pages]
    sizes = [[*page.databytecounts] for page in pages]
    free = _free(len(data), file, pages, strips)
    for start, end in free:
        out[start:end] = bytes(end - start)
    for number, coded in enumerate(strips):
        for index, strip in coded.items():
            places[number][index], sizes[number][index] = _put(out, free, strip), len(strip)
    # A file that ends with a strip ends with it again.
    if free and free[-1][1] == len(out):
        del out[free[-1][0] :]
    for page, offsets, counts, coded in zip(pages, places, sizes, strips, strict=True):
        if coded:
            _list(out, file, page, _OFFSETS, offsets)
            _list(out, file, page, _COUNTS, counts)
    return bytes(out)


def _free(size: int, file: Any, pages: list[Any], strips: list[dict[int, bytes]]) -> list[Range]:
    """The places of the replaced strips, joined where they meet, without bytes that other parts use."""
    kept: list[Range] = [(0, 16 if file.is_bigtiff else 8)]
    entry, rest = (20, 16) if file.is_bigtiff else (12, 6)
    given: list[Range] = []
    for page, coded in zip(pages, strips, strict=True):
        kept.append((page.offset, page.offset + entry * len(page.tags) + rest))
        kept += [(tag.valueoffset, tag.valueoffset + tag.valuebytecount) for tag in page.tags]
        for index, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            (given if index in coded else kept).append((offset, offset + count))
    kept = _joined(kept)
    ends = [end for _, end in kept]
    free: list[Range] = []
    for start, end in sorted(place for place in given if place[0] < place[1] <= size):
        after = bisect.bisect_right(ends, start)
        if after == len(kept) or kept[after][0] >= end:
            free.append((start, end))
    return _joined(free)


def _joined(places: list[Range]) -> list[Range]:
    """The places in order, joined where they meet."""
    joined: list[Range] = []
    for start, end in sorted(places):
        if joined and joined[-1][1] >= start:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def _put(out: bytearray, free: list[Range], strip: bytes) -> int:
    """Write ``strip`` into the first free place that is large enough, or at the end; its start."""
    for number, (start, end) in enumerate(free):
        missing = len(strip) - (end - start)
        if missing > 0 and end == len(out):
            out += bytes(missing)  # the last place grows with the file
        elif missing > 0:
            continue
        out[start : start + len(strip)] = strip
        free[number] = start + len(strip), max(end, start + len(strip))
        return start
    start = len(out) + len(out) % 2
    out += bytes(start - len(out)) + strip
    return start


def _list(out: bytearray, file: Any, page: Any, codes: set[int], values: list[int]) -> None:
    """Set the places or lengths of a page's strips in its directory."""
    tag = next((tag for tag in page.tags if tag.code in codes), None)
    if tag is None:
        return  # uncompressed strips may lack lengths; then these do not change
    kind = {3: "H", 4: "I", 13: "I", 16: "Q"}[int(tag.dtype)]
    values = values[: tag.count]
    if max(values) < 1 << (8 * struct.calcsize(kind)):
        struct.pack_into(f"{file.byteorder}{len(values)}{kind}", out, tag.valueoffset, *values)
        return
    # If a value no longer fits into 16 bits, a new list of 32 bits is written at the end of the file.
    struct.pack_into(file.byteorder + "H", out, tag.offset + 2, 4)
    packed = struct.pack(f"{file.byteorder}{len(values)}I", *values)
    field, room = (tag.offset + 12, 8) if file.is_bigtiff else (tag.offset + 8, 4)
    if len(packed) <= room:
        out[field : field + len(packed)] = packed
    else:
        out += b"\0" * (len(out) % 2)
        struct.pack_into(file.byteorder + ("Q" if file.is_bigtiff else "I"), out, field, len(out))
        out += packed


def with_tag(data: bytes, code: int, content: bytes) -> bytes:
    """``data`` with ``content`` as the bytes of this tag of its first page.

    It replaces the old content. If it does not fit, the content and the directory are written at the end of the file.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    # Classic: 16-bit count, entries of 12 bytes, offsets of 4; BigTIFF: 64-bit count, entries of 20, offsets of 8.
    count_kind, entry_kind, offset_kind, head = ("Q", "HHQQ", "Q", 8) if big else ("H", "HHII", "I", 4)
    lead, entry_size = struct.calcsize(order + count_kind), struct.calcsize(order + entry_kind)
    first = struct.unpack_from(order + offset_kind, data, head)[0]
    count = struct.unpack_from(order + count_kind, data, first)[0]
    start, end = first + lead, first + lead + entry_size * count
    # Content that would fit into the entry itself is padded, so that it is stored like longer content.
    content = content.ljust(struct.calcsize(offset_kind) + 1, b"\0")
    out = bytearray(data)
    for at in range(start, end, entry_size):
        tag, kind, size, place = struct.unpack_from(order + entry_kind, data, at)
        if tag == code and kind in _BYTES and struct.calcsize(offset_kind) < size <= len(data) - place:
            out[place : place + size] = bytes(size)
            if len(content) <= size:
                out[place : place + len(content)] = content
                struct.pack_into(order + entry_kind, out, at, code, kind, len(content), place)
                return bytes(out)
    entries = [bytes(out[at : at + entry_size]) for at in range(start, end, entry_size)]
    rest = data[end : end + struct.calcsize(order + offset_kind)]
    out += b"\0" * (len(out) % 2)
    entry = struct.pack(order + entry_kind, code, _BYTE, len(content), len(out))
    out += content + b"\0" * (len(content) % 2)
    kept = [old for old in entries if struct.unpack_from(order + "H", old)[0] != code]
    kept = sorted([*kept, entry], key=lambda part: int(struct.unpack_from(order + "H", part)[0]))
    struct.pack_into(order + offset_kind, out, head, len(out))
    out += struct.pack(order + count_kind, len(kept)) + b"".join(kept) + rest
    return bytes(out)
