"""JSON columns that an earlier version wrote. ``rows/masks.json`` holds rows with masks, options and specs."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cleanplate.base.image_records import ImageRecord
from cleanplate.base.masks import AutoMask, LogoPlace, Placement
from cleanplate.base.options import ImageOptions, JobOptions
from cleanplate.base.templates import MarkLattice, MarkPlace, TemplateQuality
from model.repair.records import MarksRecord, RepairRecord
from model.watermark.template import Quality, Rule
from storage.json_columns import (
    read_image_mask,
    read_image_options,
    read_image_record,
    read_job_mask,
    read_job_options,
    read_place,
)
from storage.records import EstimateSpec, LogoSpec, MaskSpec, TemplateKind
from storage.records.specs import read_spec

ROWS: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "rows" / "masks.json").read_text())
JOBS = {row["name"]: row for row in ROWS["jobs"]}


def as_kept(row: dict[str, Any]) -> dict[str, Any]:
    """The mask that is read from a row: as it was sent, if the row still holds that."""
    sent: dict[str, Any] = row["sent"]
    if "template" in sent:
        return {"templates": [sent["template"]]}
    if sent.get("mode") == "auto":
        defaults = {"approve": "person", "min_confidence": 0.8, "force": False}
        return {**defaults, **sent, **({"templates": ["tpl_4"]} if "approved" in row["name"] else {})}
    if "form" in row["name"]:
        return {"upload_id": row["image"]["mask_key"].rpartition("/")[2], **sent}
    return sent


@pytest.mark.parametrize("name", [name for name in JOBS if name.startswith("job: ")])
def test_a_workers_mask_is_that_of_the_job(name: str) -> None:
    row = JOBS[name]
    assert row["image"]["mask"] is None
    assert read_image_mask(row["image"]["mask"], row["image"]["mask_key"]) is None
    mask = read_job_mask(row["job"]["mask"], row["image"]["mask_key"])
    assert mask is not None
    assert mask.document() == as_kept(row)


@pytest.mark.parametrize("name", [name for name in JOBS if name.startswith("image: ")])
def test_an_image_has_the_mask_of_its_own(name: str) -> None:
    row = JOBS[name]
    mask = read_image_mask(row["image"]["mask"], row["image"]["mask_key"])
    assert mask is not None
    assert mask.document() == as_kept(row)
    assert read_job_mask(row["job"]["mask"]) is None


def test_a_job_whose_file_is_not_known_has_no_mask_to_show() -> None:
    for document in (None, {}, {"anchor": "top"}, {"anchor": "top", "scale": "width"}):
        assert read_job_mask(document) is None


def test_a_document_that_is_no_mask_is_refused() -> None:
    for document in ({"edge": 1}, {"mode": "find"}, {"boxes": []}, {"upload_id": "upl_1", "templates": ["tpl_1"]}):
        with pytest.raises(ValidationError):
            read_job_mask(document, "t/tnt_1/uploads/upl_1")


def test_options_of_an_image_win_over_those_of_its_job() -> None:
    row = JOBS["image: options"]
    job, own = read_job_options(row["job"]["options"]), read_image_options(row["image"]["options"])
    assert job == JobOptions(dilation_px=4, output="png")
    assert own == ImageOptions(dilation_px=None, feather_px=1)
    assert own is not None
    assert own.document() == row["image"]["options"]
    assert job.with_image(own) == JobOptions(dilation_px=None, feather_px=1, output="png")
    assert job.with_image(read_image_options(None)) == job


def test_specs_of_templates() -> None:
    specs = [read_spec(TemplateKind(row["kind"]), row["spec"]) for row in ROWS["templates"]]
    uploads = [f"upl_{number}" for number in range(5, 10)]
    assert specs == [
        EstimateSpec(upload_ids=uploads),
        LogoSpec(upload_ids=["upl_10"], place=LogoPlace(margin_x=20, margin_y=12, opacity=0.5)),
        MaskSpec(upload_ids=["upl_1"], place=Placement(anchor="bottom_right", scale="width")),
        MaskSpec(upload_ids=["upl_1"]),
        EstimateSpec(mode="auto"),
        EstimateSpec(mode="auto"),
        EstimateSpec(mode="auto", approve="auto", min_confidence=0.9, force=True),
    ]


def test_an_approved_mask_names_its_templates() -> None:
    waiting, begun = (
        read_job_mask(JOBS["job: auto"]["job"]["mask"]),
        read_job_mask(JOBS["job: auto, approved"]["job"]["mask"]),
    )
    assert isinstance(waiting, AutoMask)
    assert isinstance(begun, AutoMask)
    assert (waiting.template_ids, begun.template_ids) == ((), ("tpl_4",))


def test_a_record_of_another_version_is_read_without_the_fields_that_this_one_does_not_know() -> None:
    written = {
        "method": "inpainting",
        "extension_changed": {"from": ".png", "to": ".webp", "why": "content"},
        "sha256": {"source": "aa", "preview": "bb"},
        "shift": [[3, -1]],
        "device": None,
        "backend": "older",
    }
    assert read_image_record({}) == ImageRecord()
    assert read_image_record({}).document() == {}
    assert read_image_record(written).document() == {
        "method": "inpainting",
        "extension_changed": {"from": ".png", "to": ".webp"},
        "sha256": {"source": "aa"},
        "shift": [[3, -1]],
    }


def test_a_templates_place_is_that_of_a_mask_or_a_rule() -> None:
    rule = {"anchor": "bottom-right", "scale": "pixels", "down": -84.0, "across": -20.5, "reference_width": 900}
    assert read_place(None) is None
    assert read_place({"anchor": "top", "scale": "width"}) == Placement(anchor="top", scale="width")
    assert read_place({**rule, "lattice": None, "proven": True}) == MarkPlace.model_validate(rule | {"lattice": None})
    repeated = read_place({**rule, "lattice": {"first": [90, 4], "second": [0, 80]}})
    assert isinstance(repeated, MarkPlace)
    assert repeated.lattice == MarkLattice(first=(90, 4), second=(0, 80))


def test_records_have_a_field_for_each_fact_of_the_model() -> None:
    assert set(MarksRecord.__annotations__) | set(RepairRecord.__annotations__) <= set(ImageRecord.model_fields)
    assert {field.name for field in fields(Quality)} == set(TemplateQuality.model_fields)
    assert {field.name for field in fields(Rule)} - {"sizes"} <= set(MarkPlace.model_fields)
