"""Sends and receives the files of the local blob store's signed links. With S3 the links lead to S3.

The token in the address is the only permission; it names the key, the method, the expiry and the size.
"""

from __future__ import annotations

import io
from typing import cast

from apiflask import APIBlueprint
from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import wrap_file

from api.answers import Fault
from api.bodies import FORM_BYTES, StrictRequest, unsupported
from api.problems import Problem, pointer, responses
from api.stores import stores
from storage.blobs.base import attachment
from storage.blobs.local import LocalBlobs

blueprint = APIBlueprint(
    "blobs",
    __name__,
    tag={"name": "Signed links", "description": "Files behind links of the local object store; the link is the key."},
)

_FILE = {"schema": {"type": "string", "format": "binary"}}


@blueprint.get("/blobs/<token>")
@blueprint.doc(
    summary="Download a file",
    description="For links from `/v1/images/{image_id}/result`, where the object store is a folder.",
    responses=responses(
        "link_invalid",
        "not_found",
        "blob_not_found",
        "blob_store_unavailable",
        also={200: {"description": "The file, as an attachment.", "content": {"application/octet-stream": _FILE}}},
    ),
)
def fetch(token: str) -> Response:
    blobs = _local_blobs()
    link = blobs.read_link(token, "GET")
    stat = blobs.stat(link.key)
    answer = Response(
        wrap_file(request.environ, blobs.open(link.key)), mimetype=stat.content_type, direct_passthrough=True
    )
    answer.content_length = stat.size
    answer.headers["Content-Disposition"] = attachment(link.filename or "image")
    # If a browser shows it all the same, it may run and load nothing.
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox; frame-ancestors 'none'"
    return answer


@blueprint.put("/blobs/<token>")
@blueprint.doc(
    summary="Upload a file",
    description="For links from `POST /v1/uploads`, where the object store is a folder.",
    responses=responses(
        "request_invalid",
        "link_invalid",
        "not_found",
        "blob_not_found",
        "image_too_large",
        "media_type_unsupported",
        "size_mismatch",
        "blob_store_unavailable",
        also={204: {"description": "Stored."}},
    ),
)
def send(token: str) -> Response:
    blobs = _local_blobs()
    link = blobs.read_link(token, "PUT")
    if link.content_type is not None and request.mimetype != link.content_type:
        raise Problem("media_type_unsupported", f"This link takes {link.content_type} only; say so in Content-Type.")
    if link.exact_bytes is not None and request.content_length != link.exact_bytes:
        raise Problem(
            "size_mismatch",
            f"This link takes {link.exact_bytes} bytes exactly; say so in Content-Length and send them.",
        )
    answer = Response(status=204)
    try:
        _hold(link.max_bytes)
        if link.part is not None:
            answer.headers["ETag"] = blobs.put_part(link.key, link.part, request.stream)
        else:
            blobs.put_stream(link.key, request.stream, content_type=link.content_type or request.mimetype)
    except RequestEntityTooLarge as error:
        raise Problem("image_too_large", f"The file may have {link.max_bytes} bytes at most.") from error
    return answer


@blueprint.post("/blobs/<token>")
@blueprint.doc(
    summary="Upload a file by a form",
    description="For links with `fields` from `POST /v1/uploads`, where the object store is a folder.",
    responses=responses(
        "request_invalid",
        "link_invalid",
        "not_found",
        "image_too_large",
        "media_type_unsupported",
        "size_mismatch",
        "validation_failed",
        "blob_store_unavailable",
        also={204: {"description": "Stored."}},
    ),
)
def send_form(token: str) -> Response:
    blobs = _local_blobs()
    link = blobs.read_link(token, "POST")
    if request.mimetype != "multipart/form-data":
        raise unsupported("multipart/form-data")
    request.max_content_length = (link.max_bytes or 0) + FORM_BYTES
    too_large = Problem("image_too_large", f"The file may have {link.max_bytes} bytes at most.")
    try:
        cast(StrictRequest, request).parse_form()
    except RequestEntityTooLarge as error:
        raise too_large from error
    if request.form.to_dict() != {"key": link.key, "Content-Type": link.content_type}:
        raise Problem("link_invalid", "The form must have exactly the fields that came with its link, and file.")
    file = request.files.get("file")
    if file is None:
        detail = "Send the picture in a part of this name, with a file name."
        fault = Fault(pointer=pointer("file"), code="field_missing", detail=detail)
        raise Problem("validation_failed", detail, faults=[fault])
    size = file.stream.seek(0, io.SEEK_END)
    if link.max_bytes is not None and size > link.max_bytes:
        raise too_large
    if link.exact_bytes is not None and size != link.exact_bytes:
        raise Problem("size_mismatch", f"This link takes a file of {link.exact_bytes} bytes exactly, not of {size}.")
    file.stream.seek(0)
    blobs.put_stream(link.key, file.stream, content_type=link.content_type or file.mimetype)
    return Response(status=204)


def _local_blobs() -> LocalBlobs:
    blobs = stores().blobs
    if not isinstance(blobs, LocalBlobs):
        raise Problem("not_found", "This service keeps its files in an object store: use the links that it returns.")
    return blobs


def _hold(max_bytes: int | None) -> None:
    """Limits the current request's body to this many bytes. Raises RequestEntityTooLarge, also while it is read."""
    if max_bytes is None:
        return
    if request.content_length is not None and request.content_length > max_bytes:
        raise RequestEntityTooLarge
    # Werkzeug refuses to read past the limit, even to find the end of a body of exactly that size.
    request.max_content_length = max_bytes + 1
