"""File names are safe for any input."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.filenames import MAX_BYTES, clean_filename, stem_and_extension


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("shirt.jpg", "shirt.jpg"),
        ("/etc/../shirt.jpg", "shirt.jpg"),
        ("C:\\pictures\\shirt.jpg", "shirt.jpg"),
        ("a\x00b\r\n\x7f.jpg", "ab.jpg"),
        ("Cafe\u0301.jpg", "Caf\u00e9.jpg"),
        ("shirt\u202egpj.exe", "shirtgpj.exe"),
        ("  shirt .jpg ", "shirt .jpg"),
        ("C:shirt.jpg", "C_shirt.jpg"),
        ("shirt.jpg:hidden", "shirt.jpg_hidden"),
        ("рубашка 👕.png", "рубашка 👕.png"),
    ],
)
def test_file_names_are_sanitized(name: str, kept: str) -> None:
    assert clean_filename(name) == kept


@pytest.mark.parametrize("name", ["", ".", "..", "a/", "a/..", "\x00", "   ", "\u202e", "..."])
def test_a_name_without_anything_in_it_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a file"):
        clean_filename(name)


def test_a_long_name_keeps_its_extension() -> None:
    kept = clean_filename("é" * 300 + ".jpeg")
    assert kept.endswith("é.jpeg")
    assert MAX_BYTES - 1 <= len(kept.encode()) <= MAX_BYTES


@given(st.text(max_size=600))
def test_every_name_is_refused_or_safe(name: str) -> None:
    try:
        kept = clean_filename(name)
    except ValueError:
        return
    assert 0 < len(kept.encode()) <= MAX_BYTES
    assert kept not in {".", ".."}
    assert not {"/", "\\"} & set(kept)
    assert not any(unicodedata.category(character) in {"Cc", "Cs"} for character in kept)
    assert clean_filename(kept) == kept


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("shirt.jpg", ("shirt", ".jpg")),
        ("shirt.front.jpg", ("shirt.front", ".jpg")),
        ("shirt", ("shirt", "")),
        (".shirt", (".shirt", "")),
        ("shirt.", ("shirt", ".")),
    ],
)
def test_stem_and_extension(name: str, parts: tuple[str, str]) -> None:
    assert stem_and_extension(name) == parts
