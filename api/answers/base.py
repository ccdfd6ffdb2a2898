"""The base of every answer, health, and problems."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """The base of all answers."""

    model_config = ConfigDict(frozen=True)


class Health(Answer):
    """The state of the service."""

    status: str = Field(examples=["ok"])


class Readiness(Health):
    """The state of the service and of its workers. A service without workers is ready: it takes jobs, which wait."""

    workers: int = Field(description="Worker processes that take images.")
    starting: int = Field(description="Worker processes that load their network.")
    reason: str | None = Field(
        description=(
            "Why a worker, or another program of `cleanplate up`, does not run, as a code: `dispatch_down` means that "
            "nobody hands images to workers. `GET /v1/devices` has the sentence."
        ),
        examples=["process_died"],
    )


class Fault(BaseModel):
    """One fault of a request: where, and what."""

    pointer: str | None = Field(default=None, description="JSON pointer into the body.", examples=["#/images/0/name"])
    parameter: str | None = Field(default=None, description="Name of the query parameter.")
    line: int | None = Field(default=None, description="Line of the manifest, from 1.")
    code: str = Field(
        description="Stable: programs may depend on it. A code of faults (docs/api.md), or that of a problem.",
        examples=["field_missing"],
    )
    params: dict[str, str | int | float] | None = Field(
        default=None, description="Values that belong to the code, such as a limit.", examples=[{"most": 200}]
    )
    detail: str


class Problem(BaseModel):
    """An error (RFC 9457, application/problem+json)."""

    type: str = Field(description="The address of the code's documentation.")
    title: str = Field(description="The code in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="The cause, and what to do about it.")
    instance: str = Field(description="The path of the request.")
    code: str = Field(description="Stable: programs may depend on it.", examples=["upload_unknown"])
    request_id: str = Field(description="The request's id; name it when you report the problem.")
    errors: list[Fault] | None = Field(default=None, description="The faults of the request, each with its place.")
