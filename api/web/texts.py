"""The page's languages: English stands in templates and scripts, other languages in catalogues of translations.

The browser chooses; ``?lang=`` chooses otherwise and is remembered. ``make texts`` updates the catalogues from the
texts of the pages.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from pathlib import Path

from babel import Locale
from babel.dates import format_datetime
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, Response, g, request

#: The languages' own names by tag; the page is written in English.
LANGUAGES = {"en": "English", "zh-CN": "简体中文"}
FOLDER = Path(__file__).parent / "catalogues"
_COOKIE = "cleanplate-lang"
_YEAR_S = 365 * 24 * 3600


def register(app: Flask) -> None:
    """Give the templates of ``app`` translations and dates: ``_``, ``ngettext``, ``| moment``."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        lambda text: translations(language()).ugettext(text),
        lambda one, many, n: translations(language()).ungettext(one, many, n),
        newstyle=True,
    )
    app.jinja_env.filters["moment"] = moment


def language() -> str:
    """The tag of the language of the current request."""
    if "language" not in g:
        requested = request.args.get("lang") or request.cookies.get(_COOKIE)
        g.language = requested if requested in LANGUAGES else _accepted(request.accept_languages.values())
    chosen: str = g.language
    return chosen


def _accepted(wishes: Iterable[str]) -> str:
    """The first accepted language that the page has. ``zh-TW`` counts as ``zh-CN``: a variant is better than none."""
    for wish in wishes:
        for tag in LANGUAGES:
            if wish.partition("-")[0].lower() == tag.partition("-")[0]:
                return tag
    return "en"


def remember(answer: Response) -> Response:
    """Keep the language that the current request asked for."""
    requested = request.args.get("lang")
    if requested in LANGUAGES:
        answer.set_cookie(_COOKIE, requested, max_age=_YEAR_S, httponly=True, samesite="Lax", secure=request.is_secure)
    return answer


def catalogue(tag: str) -> Catalog:
    """The translations into a language, as their file has them."""
    with (FOLDER / f"{tag}.po").open("rb") as file:
        return read_po(file, locale=tag.replace("-", "_"))


@cache
def translations(tag: str) -> NullTranslations:
    """The translations into a language, compiled."""
    if tag == "en":
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(tag))
    compiled.seek(0)
    return Translations(compiled)


@cache
def for_scripts(tag: str) -> dict[str, str | list[str]]:
    """The scripts' texts in a language, keyed by the English text; plurals by the English singular."""
    if tag == "en":
        return {}
    texts: dict[str, str | list[str]] = {}
    for message in catalogue(tag):
        if not any(place.endswith((".js", "api/problem_kinds.py")) for place, _ in message.locations):
            continue
        if message.pluralizable:
            texts[message.id[0]] = list(message.string or ())
        else:
            texts[str(message.id)] = str(message.string)
    return texts


def moment(time: datetime) -> str:
    """A date and time in UTC, in the reader's format."""
    return format_datetime(time, "medium", locale=Locale.parse(language(), sep="-"))
