"""JSON objects that are sent, kept in the ledger and answered in one form.

Unknown fields are refused. A document keeps the fields that its sender named and adds no defaults, so that an answer
shows what was sent.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, SerializerFunctionWrapHandler, model_serializer
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

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
