"""The base of every answer, health, and problems."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """The base of what clients get."""

    model_config = ConfigDict(frozen=True)


class Health(Answer):
    """The service answers."""

    status: str = Field(examples=["ok"])


class Fault(BaseModel):
    """One fault of a request: where, and what."""

    pointer: str | None = Field(default=None, description="JSON pointer into the body.", examples=["#/images/0/name"])
    parameter: str | None = Field(default=None, description="Name of the query parameter.")
    line: int | None = Field(default=None, description="Line of the manifest, from 1.")
    code: str | None = Field(default=None, description="Of a manifest's row: what is wrong with it.")
    detail: str


class Problem(BaseModel):
    """An error (RFC 9457, application/problem+json)."""

    type: str = Field(description="Address of the code's documentation.")
    title: str = Field(description="What all problems of this code share.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened and what to do about it.")
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="Stable; write programs against this one.", examples=["upload_unknown"])
    request_id: str = Field(description="Name it when you report the problem.")
    errors: list[Fault] | None = Field(default=None, description="The faults of the request, with their places.")
