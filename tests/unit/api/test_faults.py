"""Faults of requests have stable codes with parameters, for readers of every language."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from api.fault_kinds import FAULTS
from api.problem_kinds import CATALOGUE
from tests.running import REPOSITORY
from tests.unit.api.calling import RIGHTS, Caller

PICTURE = "https://shop.example/a.jpg"
BOXES = {"boxes": [[0.1, 0.1, 0.2, 0.2]], "units": "relative"}
GOOD: dict[str, Any] = {"images": [{"url": PICTURE}], "mask": BOXES, **RIGHTS}


def named_codes() -> set[str]:
    """The codes that the API's sources name for faults and bad rows."""
    codes: set[str] = set()
    for path in (REPOSITORY / "api").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            given = [word.value for word in node.keywords if word.arg in {"code", "kind"}]
            if node.func.id in {"Fault", "Refused"}:
                codes |= {one.value for one in given if isinstance(one, ast.Constant)}
            if node.func.id in {"Refused", "_BadRow"} and isinstance(node.args[0], ast.Constant):
                codes.add(node.args[0].value)
    return codes


def test_every_code_of_a_fault_is_in_one_of_the_catalogues() -> None:
    named = named_codes()
    assert {"field_missing", "folder_empty", "custom_id_repeated", "mask_missing"} <= named
    assert named - {*FAULTS, *CATALOGUE} == set()
    assert set(FAULTS) & set(CATALOGUE) == set()


@pytest.mark.parametrize(
    ("change", "pointer", "code", "params"),
    [
        ({"images": [{"url": PICTURE, "nmae": "x"}]}, "#/images/0/nmae", "field_unknown", None),
        ({"priority": "soon"}, "#/priority", "choice_unknown", {"allowed": "'interactive' or 'bulk'"}),
        ({"name": "x" * 300}, "#/name", "text_too_long", {"most": 200}),
        ({"name": 7}, "#/name", "type_wrong", None),
        ({"retention_days": 0}, "#/retention_days", "number_too_small", {"least": 1}),
        ({"labels": ["a"] * 17}, "#/labels", "list_too_long", {"most": 16}),
        ({"mask": {"boxes": []}}, "#/mask/boxes", "list_too_short", {"least": 1}),
        ({"mask": {**BOXES, "size": [5, 5]}}, "#/mask", "value_refused", None),
        ({"mask": None}, "#/images/0", "mask_missing", None),
        ({"mask": {"upload_id": "upl_0"}}, "#/mask/upload_id", "upload_unknown", None),
        ({"options": {"model": "nowhere"}}, "#/options/model", "network_unknown", {"offered": "cleanplate-small"}),
        ({"images": [{"url": "https://10.0.0.1/a.jpg"}]}, "#/images/0/url", "url_not_allowed", None),
    ],
)
def test_a_fault_has_a_code_and_its_values(
    shop: Caller, change: dict[str, Any], pointer: str, code: str, params: dict[str, Any] | None
) -> None:
    body = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    problem = shop("POST", "/v1/jobs", status=422, json=body).json
    [fault] = [one for one in problem["errors"] if one["pointer"] == pointer]
    assert (fault["code"], fault.get("params")) == (code, params)


def test_a_query_has_coded_faults_too(shop: Caller) -> None:
    [fault] = shop.problem("GET", "/v1/jobs?limit=0", 422, "validation_failed")["errors"]
    assert (fault["parameter"], fault["code"], fault["params"]) == ("limit", "number_too_small", {"least": 1})


def test_bad_rows_say_which_rule_they_break(shop: Caller) -> None:
    rows = [
        "{",
        json.dumps({"url": PICTURE, "opt": 1}),
        json.dumps({"custom_id": "a", "url": PICTURE}),
        json.dumps({"custom_id": "a", "url": PICTURE}),
        json.dumps({"url": PICTURE, "name": "x" * 70_000}),
    ]
    problem = shop.submit_manifest("\n".join(rows), 422, mask=BOXES)
    assert [(fault["line"], fault["code"]) for fault in problem["errors"]] == [
        (1, "json_invalid"),
        (2, "field_unknown"),
        (4, "custom_id_repeated"),
        (5, "line_too_long"),
    ]
    assert problem["errors"][2]["params"] == {"line": 3}
    cells = shop.submit_manifest(f"url,mask\n{PICTURE},{{\n{PICTURE}\n", 422, mask=BOXES)["errors"]
    assert [fault["code"] for fault in cells] == ["cell_not_json", "cells_wrong"]
    assert cells[1]["params"] == {"cells": 1, "columns": 2}
