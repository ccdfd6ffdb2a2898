"""The codes of faults: what is wrong at one place of a request, each with the parameters that its sentence may name.

A fault has one of these codes or that of a problem (:mod:`api.problem_kinds`). The page says each in the reader's own
words (``words/faults.js``); a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: The values of a fault's parameters.
Params = dict[str, str | int | float]

#: Names of the parameters by code.
FAULTS: Mapping[str, tuple[str, ...]] = {
    "field_missing": (),
    "field_unknown": (),
    "type_wrong": (),
    "form_wrong": (),
    "value_refused": (),
    "choice_unknown": ("allowed",),
    "text_too_short": ("least",),
    "text_too_long": ("most",),
    "list_too_short": ("least",),
    "list_too_long": ("most",),
    "number_too_small": ("least",),
    "number_too_large": ("most",),
    "part_must_be_file": (),
    "part_must_be_text": (),
    "part_repeated": (),
    "masks_both": (),
    "placement_without_mask": (),
    "image_missing": (),
    "name_unusable": (),
    "network_unknown": ("offered",),
    "folder_empty": (),
    "keys_no_pictures": ("most",),
    "manifest_not_in_bucket": (),
    "address_impossible": (),
    "address_not_comparable": (),
    "address_taken": ("image",),
    "source_overwritten": (),
    "cell_not_json": (),
    "cells_wrong": ("cells", "columns"),
    "line_too_long": ("most",),
    "custom_id_repeated": ("line",),
    "parts_too_many": ("most",),
    "part_unknown": ("most",),
}

#: Pydantic's kinds of errors, with the parameter and the key of the error's context that it is read from.
_LIMITS: Mapping[str, tuple[str, str, str]] = {
    "string_too_short": ("text_too_short", "least", "min_length"),
    "string_too_long": ("text_too_long", "most", "max_length"),
    "too_short": ("list_too_short", "least", "min_length"),
    "too_long": ("list_too_long", "most", "max_length"),
    "greater_than": ("number_too_small", "least", "gt"),
    "greater_than_equal": ("number_too_small", "least", "ge"),
    "less_than": ("number_too_large", "most", "lt"),
    "less_than_equal": ("number_too_large", "most", "le"),
    "literal_error": ("choice_unknown", "allowed", "expected"),
    "enum": ("choice_unknown", "allowed", "expected"),
}
_PLAIN: Mapping[str, str] = {
    "missing": "field_missing",
    "extra_forbidden": "field_unknown",
    "json_invalid": "json_invalid",
    "string_pattern_mismatch": "form_wrong",
    "timezone_aware": "form_wrong",
}
_TYPE_ENDINGS = ("_type", "_parsing", "_from_float", "_parsing_size")


def kind_of(error: ErrorDetails) -> tuple[str, Params | None]:
    """Code and parameters of a pydantic error."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _LIMITS:
        code, name, key = _LIMITS[kind]
        return code, {name: context[key]} if isinstance(context.get(key), str | int | float) else None
    if kind in _PLAIN:
        return _PLAIN[kind], None
    return ("type_wrong" if kind.endswith(_TYPE_ENDINGS) else "value_refused"), None
