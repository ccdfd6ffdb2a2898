"""Where a job's results go beside the service's own store: an address in S3 with places for each picture's names."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from cleanplate.base.documents import Document
from cleanplate.base.names import stem_and_extension

#: Names that an address may hold in braces.
PLACES = ("path", "dir", "name", "stem", "ext", "custom_id", "image_id")
_PLACE = re.compile(r"\{([^{}]*)\}")


def _checked(url: str) -> str:
    unknown = sorted(set(_PLACE.findall(url)) - set(PLACES))
    if unknown or "{" in _PLACE.sub("", url) or "}" in _PLACE.sub("", url):
        raise ValueError(f"braces hold one of {', '.join(PLACES)}")
    if not set(_PLACE.findall(url)) - {"ext", "dir"}:
        if not url.endswith("/"):
            raise ValueError("name the picture's place, as in s3://bucket/clean/{path}, or end with a slash")
        return f"{url}{{path}}"
    return url


_HeaderText = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[\x20-\x7e]*$")]


class Destination(Document):
    """The address of each result in a bucket, and the headers that it is stored with."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_checked)] = Field(
        description=(
            "`s3://bucket/prefix/{path}` of an allowed bucket. In braces: `path`, `dir` (with its slash), `name`, "
            "`stem`, `ext` (with its dot), `custom_id`, `image_id`. An address that ends with a slash gets `{path}`."
        ),
        examples=["s3://catalogue/clean/{path}"],
    )
    cache_control: _HeaderText | None = Field(
        default=None, description="The header `Cache-Control`.", examples=["public, max-age=31536000"]
    )
    metadata: (
        Annotated[
            dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")], _HeaderText], Field(max_length=16)
        ]
        | None
    ) = Field(default=None, description="Headers `x-amz-meta-…` of your own.", examples=[{"origin": "clean"}])

    @property
    def folder(self) -> str:
        """The part of the address before the first place, up to its last slash."""
        return self.url[: self.url.index("{")].rpartition("/")[0] + "/"

    @property
    def needs_custom_id(self) -> bool:
        """Whether each picture must have a ``custom_id``."""
        return "{custom_id}" in self.url

    def address(self, *, path: str | None, name: str, extension: str, custom_id: str | None, image_id: str) -> str:
        """The address of one result; ``extension`` is that of its format, with its dot.

        Raises:
            ValueError: the picture lacks a ``custom_id``, or the key has an empty part or one of dots.
        """
        folder, slash, file = (path or name).rpartition("/")
        stem, _ = stem_and_extension(file)
        values = {
            "path": f"{folder}{slash}{stem}{extension}",
            "dir": folder + slash,
            "name": stem + extension,
            "stem": stem,
            "ext": extension,
            "custom_id": custom_id or "",
            "image_id": image_id,
        }
        if self.needs_custom_id and not custom_id:
            raise ValueError("the picture has no custom_id")
        url = _PLACE.sub(lambda place: values[place[1]], self.url)
        parts = url.removeprefix("s3://").split("/")
        if any(part in {"", ".", ".."} for part in parts):
            raise ValueError(f"{url} has an empty part or one of dots")
        return url
