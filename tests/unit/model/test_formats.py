"""The table of formats holds for the decoders, and no module has a list of formats beside it."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest
from PIL import Image

from model.errors import ImageRejected
from model.formats import (
    ENDINGS_BY_TYPE,
    FORMATS,
    OUTPUTS,
    READ,
    TYPES_BY_ENDING,
    Format,
    is_picture_name,
)
from model.imaging import Limits, probe
from tests.running import REPOSITORY

LIMITS = Limits(max_bytes=10**6, max_pixels=10**6)


def file_of(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(out, kind)
    return out.getvalue()


def test_the_table_needs_no_package() -> None:
    script = "import sys, model.formats; print(*sorted({'numpy', 'PIL', 'torch', 'pydantic'} & {*sys.modules}))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert ended.stdout.strip() == ""


@pytest.mark.parametrize("kind", READ.values(), ids=READ)
def test_files_of_each_format_are_read_as_the_table_says(kind: Format) -> None:
    facts = probe(file_of(kind.name), LIMITS)
    assert (facts.format, facts.content_type, facts.extension) == (kind.name, kind.content_type, kind.endings[0])


def test_a_format_that_is_not_read_is_refused() -> None:
    assert "JPEG2000" not in READ
    with pytest.raises(ImageRejected, match="not a picture in a known format"):
        probe(file_of("JPEG2000"), LIMITS)


def test_each_ending_and_each_output_stands_for_one_format() -> None:
    endings = [ending for entry in FORMATS for ending in entry.endings]
    assert len(endings) == len(set(endings)) and all(re.fullmatch(r"\.[a-z0-9]+", ending) for ending in endings)
    assert {entry.output for entry in FORMATS if entry.output} == set(OUTPUTS)
    assert all(TYPES_BY_ENDING[endings[0]] in ENDINGS_BY_TYPE for endings in ENDINGS_BY_TYPE.values())


@pytest.mark.parametrize(("name", "taken"), [
    ("supplier.jfif", True), ("a/B.JPG", True), ("scan.dib", True), ("spring.jp2", False), ("new.jxl", False),
    ("notes.txt", False), ("jpg", False), (".jpg", False),
])  # fmt: skip
def test_names_of_files_that_are_read_are_names_of_pictures(name: str, taken: bool) -> None:
    assert is_picture_name(name) is taken


def test_options_offer_the_outputs_of_the_table() -> None:
    from cleanplate.base.options import JobOptions

    schema = JobOptions.model_json_schema()["properties"]["output"]
    offered = {value for choice in schema.get("anyOf", [schema]) for value in choice.get("enum", [])}
    assert offered == set(OUTPUTS)
