"""Extracts the texts of the pages from their sources, and updates the files of the translations.

    python -m tests.catalogues

A new text gets an empty translation, a text that is no longer used is dropped. A test fails until all are translated.
"""

from __future__ import annotations

import io
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import write_po

from api.web.texts import FOLDER, LANGUAGES, catalogue
from tests.running import REPOSITORY

#: ``t`` and ``n`` are the functions of the scripts; the title of a kind of problem is its second argument.
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "t": None,
    "n": (1, 2),
    "Kind": (2,),
}


def page_texts() -> Catalog:
    """Every text of the pages, in English."""
    with (FOLDER / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    texts = Catalog(fuzzy=False)
    for name, line, message, comments, context in extract_from_dir(
        REPOSITORY, methods, options, keywords=KEYWORDS, strip_comment_tags=True
    ):
        texts.add(message, None, [(name, line)], auto_comments=comments, context=context)
    return texts


def as_file(translated: Catalog) -> bytes:
    """A catalogue as its file, sorted by text; line numbers are left out, because they change too often."""
    file = io.BytesIO()
    write_po(
        file, translated, sort_output=True, include_lineno=False, omit_header=True, width=120, ignore_obsolete=True
    )
    return file.getvalue()


def updated_catalogue(tag: str) -> Catalog:
    """The translations into a language, for the present texts of the pages."""
    path = FOLDER / f"{tag}.po"
    known = catalogue(tag) if path.exists() else Catalog(locale=tag.replace("-", "_"))
    known.update(page_texts(), no_fuzzy_matching=True)
    return known


def main() -> None:
    for tag in LANGUAGES:
        if tag != "en":
            path: Path = FOLDER / f"{tag}.po"
            path.write_bytes(as_file(updated_catalogue(tag)))


if __name__ == "__main__":
    main()
