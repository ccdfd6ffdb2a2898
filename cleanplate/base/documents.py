"""JSON objects that are sent, kept in the ledger and answered in one form.

A :class:`Document` comes from a client: unknown fields are refused. It keeps the fields that its sender named and adds
no defaults, so that an answer shows what was sent. A :class:`Report` comes from a worker: unknown fields, of another
version, are left out, and a field without a value is missing.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, SerializerFunctionWrapHandler, model_serializer
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

#: A JSON object whose fields are free, or belong to another format: a request body, an OpenAPI document, an event.
JsonObject = dict[str, Any]
#: An id as clients may send it; every id that the ledger makes fits.
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class Document(BaseModel):
    """A JSON object with the fields that its sender named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_serializer(mode="wrap")
    def _named_fields(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if name in self.model_fields_set}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema of the fields; the serializer leaves some out and adds none."""
        return handler({name: part for name, part in schema.items() if name != "serialization"})

    def document(self) -> dict[str, Any]:
        """The JSON object, as it is sent, kept and answered."""
        return self.model_dump(mode="json")


class Report(Document):
    """A JSON object that the service writes and clients read. A field without a value is missing, not null."""

    model_config = ConfigDict(extra="ignore")

    @model_serializer(mode="wrap")
    def _named_fields(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema of the fields, none of them nullable."""
        described = super().__get_pydantic_json_schema__(schema, handler)
        for field in handler.resolve_ref_schema(described).get("properties", {}).values():
            kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
            if len(kinds) == 1:
                del field["anyOf"]
                field.update(kinds[0])
            if field.get("default", ...) is None:
                del field["default"]
        return described

    def with_fields(self, *others: Self) -> Self:
        """This report, with the fields that have a value in ``others`` over its own."""
        named = {name: getattr(other, name) for other in others for name in other.model_fields_set}
        return self.model_copy(update={name: value for name, value in named.items() if value is not None})
