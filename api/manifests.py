"""Reads a manifest: the pictures of a job, a row each, as JSON Lines or as CSV.

The file is read row by row; memory holds the images, not the file. A bad row is reported with its line and reason.
Reading goes on after it, so that all bad rows can be corrected at once.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

from pydantic import ValidationError

from api import requests
from api.answers import Fault
from api.fault_kinds import Params, kind_of
from api.images import Refused, new_image
from api.problems import MAX_FAULTS, Problem, sentence
from cleanplate.base.documents import JsonObject
from cleanplate.base.masks import UNION_TAGS, BoxesMask
from cleanplate.base.options import ImageOptions
from cleanplate.base.settings import Settings
from storage.records import NewImage, SkippedRow

#: Characters of a line; a longer one is a bad row.
LONGEST_LINE = 64 * 1024
#: Boxes of all rows together, for each image that a job may have. Each box takes about 200 bytes of memory.
_BOXES_OF_IMAGE = 5
#: Rows whose uploads are looked up in one query.
_LOOKED_UP = 2000
_COLUMNS = frozenset(requests.NewImage.model_fields)
#: Columns of CSV with a JSON object; `options.output` is one field of one.
_OBJECTS = ("options", "metadata")


@dataclass(frozen=True)
class Reading:
    """How to read a manifest."""

    settings: Settings
    #: Those of some upload ids that exist.
    known: Callable[[set[str]], set[str]]
    #: Whether the job has a mask for rows without their own.
    has_mask: bool
    #: ``jsonl`` or ``csv``; ``None``: the file's first characters tell.
    format: str | None = None
    #: Whether bad rows are left out instead of refusing the job.
    skips: bool = False


@dataclass
class Manifest:
    """The images that were read, and the rows that were left out."""

    images: list[NewImage] = field(default_factory=list)
    bad: list[SkippedRow] = field(default_factory=list)


class _BadRow(Exception):
    def __init__(self, code: str, detail: str, custom_id: str | None = None, *, params: Params | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.custom_id = custom_id
        self.params = params


#: The cells of a row of CSV, by column.
Cells = dict[str, str]
#: A line's number, and its content: JSON, cells, or the reason why it is neither.
Row = tuple[int, str | Cells | _BadRow]


def read_manifest(file: IO[bytes], reading: Reading) -> Manifest:
    """The images of a manifest.

    Raises:
        Problem: ``manifest_invalid`` with the first hundred bad rows, where bad rows are not skipped or no row is
            good; ``manifest_unreadable`` where the file is no manifest; ``too_many_images``; ``request_too_large``
            where its masks have too many boxes.
    """
    return _Reader(reading).read(file)


class _Reader:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._most = reading.settings.max_job_images
        self._manifest = Manifest()
        self._faults: list[Fault] = []
        self._bad = 0
        #: Lines by their ``custom_id``.
        self._lines: dict[str, int] = {}
        self._boxes = 0
        #: Options of rows, by the fields that are named and the values of all.
        self._options: dict[tuple[object, ...], ImageOptions] = {}
        #: Good rows whose uploads are not looked up yet.
        self._waiting: list[tuple[int, NewImage]] = []

    def read(self, file: IO[bytes]) -> Manifest:
        count = 0
        for line, row in _rows(file, self._reading.format):
            count += 1
            if count > self._most:
                raise Problem(
                    "too_many_images", f"A job may have {self._most} images; the manifest has more. Split it."
                )
            try:
                self._waiting.append((line, self._image(line, row)))
            except _BadRow as error:
                self._refuse(line, error)
            if len(self._waiting) >= _LOOKED_UP:
                self._look_up()
        self._look_up()
        if self._faults and not (self._reading.skips and self._manifest.images):
            first = self._faults[0]
            raise Problem(
                "manifest_invalid",
                f"{self._bad} of {count} rows are bad. Line {first.line}: {first.detail}",
                faults=self._faults,
            )
        if not self._manifest.images:
            raise Problem("manifest_unreadable", "The manifest has no rows.")
        self._manifest.bad.sort(key=lambda row: row.line)
        return self._manifest

    def _image(self, line: int, row: str | Cells | _BadRow) -> NewImage:
        if isinstance(row, _BadRow):
            raise row
        given = _validate(row)
        if given.custom_id is not None:
            earlier = self._lines.setdefault(given.custom_id, line)
            if earlier != line:
                detail = f"custom_id: It was on line {earlier} already."
                raise _BadRow("custom_id_repeated", detail, given.custom_id, params={"line": earlier})
        if not self._reading.has_mask and given.chosen_mask is None:
            raise _BadRow("mask_missing", "mask: The row has no mask, and the job has none either.", given.custom_id)
        if isinstance(given.mask, BoxesMask):
            self._count_boxes(len(given.mask.boxes))
        try:
            return new_image(given, self._reading.settings, options=self._shared(given.options))
        except Refused as error:
            detail = f"{error.field}: {error.detail}"
            raise _BadRow(error.kind, detail, given.custom_id, params=error.params) from error

    def _shared(self, options: ImageOptions | None) -> ImageOptions | None:
        """The first row's options that are equal to these, all scalars: 100,000 equal objects take 75 MB."""
        if options is None:
            return None
        return self._options.setdefault((frozenset(options.model_fields_set), *options.__dict__.values()), options)

    def _count_boxes(self, count: int) -> None:
        """Raises Problem ``request_too_large``."""
        self._boxes += count
        most = _BOXES_OF_IMAGE * self._most
        if self._boxes > most:
            raise Problem("request_too_large", f"The masks of a manifest may have {most} boxes in all. Split it.")

    def _look_up(self) -> None:
        """Accepts the waiting rows whose uploads exist, and refuses the others."""
        named = {
            upload_id
            for _, image in self._waiting
            for upload_id in (image.source_upload_id, image.mask_upload_id)
            if upload_id is not None
        }
        unknown = named - self._reading.known(named) if named else named
        for line, image in self._waiting:
            if image.source_upload_id in unknown or image.mask_upload_id in unknown:
                which = "upload_id" if image.source_upload_id in unknown else "mask"
                detail = f"{which}: There is no such upload, or it has expired."
                self._refuse(line, _BadRow("upload_unknown", detail, image.custom_id))
            else:
                self._manifest.images.append(image)
        self._waiting.clear()

    def _refuse(self, line: int, error: _BadRow) -> None:
        self._bad += 1
        if len(self._faults) < MAX_FAULTS:
            self._faults.append(Fault(line=line, code=error.code, params=error.params, detail=str(error)))
        if self._reading.skips:
            self._manifest.bad.append(
                SkippedRow(line=line, custom_id=error.custom_id, code=error.code, detail=str(error))
            )


def _validate(row: str | Cells) -> requests.NewImage:
    try:
        if isinstance(row, str):
            return requests.NewImage.model_validate_json(row)
        return requests.NewImage.model_validate(_fields_of(row))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "/".join(str(part) for part in first["loc"] if part not in UNION_TAGS)
        detail = sentence(first["type"], first["msg"])
        code, params = kind_of(first)
        raise _BadRow(code, f"{where}: {detail}" if where else detail, _custom_id(row), params=params) from error


def _custom_id(row: str | Cells) -> str | None:
    """The ``custom_id`` of a bad row, where it has one."""
    try:
        fields = json.loads(row) if isinstance(row, str) else row
    except (ValueError, RecursionError):
        return None
    value = fields.get("custom_id") if isinstance(fields, dict) else None
    return value.replace("\x00", "")[:200] if isinstance(value, str) else None


def _fields_of(cells: Cells) -> JsonObject:
    """A row of CSV as the fields of an image. Empty cells are left out; ``mask``, ``options``, ``metadata`` are JSON.

    A column ``options.dilation_px`` is a field of ``options``, ``metadata.season`` one of ``metadata``.
    """
    fields: JsonObject = {}
    parts: dict[str, dict[str, str]] = {name: {} for name in _OBJECTS}
    for name, text in cells.items():
        if text == "":
            continue
        whole, dot, part = name.partition(".")
        if dot and whole in parts:
            parts[whole][part] = text
        elif name in {"mask", *_OBJECTS}:
            try:
                fields[name] = json.loads(text)
            except (ValueError, RecursionError):
                raise _BadRow("cell_not_json", f"{name}: The cell is not JSON.", _custom_id(cells)) from None
        else:
            fields[name] = text
    for name, own in parts.items():
        if own:
            column = fields.get(name, {})
            fields[name] = {**column, **own} if isinstance(column, dict) else column
    return fields


def _rows(file: IO[bytes], kind: str | None) -> Iterator[Row]:
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        if kind is None:
            beginning = text.read(1024)
            text.seek(0)
            kind = "jsonl" if beginning.lstrip()[:1] == "{" else "csv"
        yield from _json_lines(text) if kind == "jsonl" else _csv(text)
    except UnicodeDecodeError as error:
        raise Problem("manifest_unreadable", "The manifest is not UTF-8 text: save it as UTF-8.") from error
    finally:
        text.detach()


def _json_lines(text: io.TextIOWrapper) -> Iterator[Row]:
    number = 0
    while line := text.readline(LONGEST_LINE):
        number += 1
        if len(line) < LONGEST_LINE or line.endswith("\n"):
            if line.strip():
                yield number, line
            continue
        while line and not line.endswith("\n"):
            line = text.readline(LONGEST_LINE)
        detail = f"The line is longer than {LONGEST_LINE} characters."
        yield number, _BadRow("line_too_long", detail, params={"most": LONGEST_LINE})


def _is_part(column: str) -> bool:
    """Whether a column of CSV is a field of an object."""
    whole, dot, part = column.partition(".")
    return bool(dot and part) and whole in _OBJECTS


def _csv(text: io.TextIOWrapper) -> Iterator[Row]:
    reader = csv.reader(text, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        wrong = sorted(name for name in header if name not in _COLUMNS and not _is_part(name))
        if wrong or len(set(header)) < len(header) or not {"upload_id", "url"} & set(header):
            known = ", ".join(sorted(_COLUMNS))
            named = f" There is no column {wrong[0]!r}." if wrong else ""
            raise Problem(
                "manifest_unreadable",
                f"The first line of a CSV names its columns, upload_id or url among them.{named} Known are {known}, "
                "options.<name> and metadata.<key>.",
            )
        for cells in reader:
            if cells and len(cells) != len(header):
                detail = f"The row has {len(cells)} cells; the first line names {len(header)} columns."
                params: Params = {"cells": len(cells), "columns": len(header)}
                yield reader.line_num, _BadRow("cells_wrong", detail, params=params)
            elif any(cells):
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise Problem("manifest_unreadable", f"Line {reader.line_num} of the CSV cannot be read: {error}.") from error
