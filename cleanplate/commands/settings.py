"""``settings``: every setting with its value and its sentence; secrets hidden."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cleanplate.base.settings import Settings

HIDDEN = "••••"
_URL_PASSWORD = re.compile(r"(?<=://)([^/@:]*):.*@")
_URL_QUERY = re.compile(r"(?<==)[^&]*")


def settings() -> None:
    """Print every setting: its variable, its value and its meaning. Secrets are hidden.

    Example: `CLEANPLATE_PORT=9000 cleanplate settings`
    """
    from cleanplate.base.settings import load_settings
    from cleanplate.terminal.tables import print_table

    loaded = load_settings()
    print_table(
        ("variable", "value", "meaning"),
        (
            (f"CLEANPLATE_{name.upper()}", shown(loaded, name), field.description or "")
            for name, field in type(loaded).model_fields.items()
        ),
    )


def shown(settings: Settings, name: str) -> str:
    """A setting's value for people: a secret only as set or empty, a URL without password and query values."""
    from pydantic import SecretStr

    value = getattr(settings, name)
    secret = isinstance(value, SecretStr)
    text = value.get_secret_value() if secret else str(value)
    if "://" not in text:
        return HIDDEN if secret and text else text
    address, mark, query = text.partition("?")
    return _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", address) + mark + _URL_QUERY.sub(HIDDEN, query)
