"""Refuses a job that does not state the right to remove its marks, before any other check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.answers import Fault
from api.problems import Problem, pointer
from api.requests import JobBasics


def require_rights(fields: Mapping[str, Any]) -> None:
    """Refuse a job without a complete statement of rights. The schema is checked later.

    Raises:
        Problem: ``rights_missing``, with each missing field.
    """
    required = [name for name, field in JobBasics.model_fields.items() if field.is_required()]
    missing = [name for name in required if str(fields.get(name) or "").strip() == ""]
    if missing:
        raise Problem(
            "rights_missing",
            f"Say by which right the marks may be removed: {', '.join(missing)} missing. rights_basis is owner, "
            "licensee or authorised_agent; attested_by names who answers for it; rights_reference says where it is "
            "written down.",
            faults=[
                Fault(pointer=pointer(name), code="field_missing", detail="This field is required.") for name in missing
            ],
        )
