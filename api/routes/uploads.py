"""Uploads: clients ask for signed links and send files straight to the object store."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api import answers, auth, requests
from api.answers import Fault
from api.bodies import only_json
from api.fault_kinds import Params
from api.idempotency import done_once
from api.problems import Problem, pointer, responses
from api.stores import Stores, stores
from storage.blobs.base import part_sizes
from storage.errors import NotFound, PartsInvalid
from storage.ledger.tenants.parts import drop_upload, find_upload, mark_complete, name_parts
from storage.ledger.tenants.uploads import create_uploads_once
from storage.records import Scope, Upload

blueprint = APIBlueprint(
    "uploads", __name__, tag={"name": "Uploads", "description": "Places for files in the object store."}
)
auth.protect(blueprint, writes=Scope.SUBMIT)
only_json(blueprint)

#: The most part links in one answer.
_MAX_PARTS = 10_000


@blueprint.post("/v1/uploads")
@blueprint.input(requests.NewUploads, location="json")
@blueprint.output(answers.Uploads, status_code=201, description="A place for each file, in the order asked for.")
@blueprint.doc(
    summary="Get upload links",
    description=(
        "Ask for a link per picture and mask, send each file to its link with the method and headers given, then name "
        "the ids in `POST /v1/jobs`. An upload that no job names in time is dropped. A large file may go in parts, "
        "several at once: `PUT` each to its link, then `POST /v1/uploads/{upload_id}/complete` with their `ETag`s."
    ),
    responses=responses(
        "image_too_large",
        "quota_exceeded",
        "size_missing",
        "blob_store_unavailable",
    ),
)
def create(json_data: requests.NewUploads) -> tuple[answers.Uploads, int, dict[str, str]]:
    backend, tenant = stores(), auth.tenant()
    for index, file in enumerate(json_data.files):
        if file.size is not None and file.size > backend.settings.max_image_bytes:
            detail = f"The file may have {backend.settings.max_image_bytes} bytes at most."
            place = pointer("files", index, "size")
            raise Problem(
                "image_too_large", detail, faults=[Fault(pointer=place, code="image_too_large", detail=detail)]
            )
    _hold_parts(json_data.files)
    created, headers = done_once(
        lambda once: create_uploads_once(
            backend.database,
            tenant,
            once,
            [(file.filename, file.content_type) for file in json_data.files],
            expires_in_s=backend.settings.upload_expiry_s,
            sizes=[file.size for file in json_data.files],
            in_parts=[file.method == "multipart" for file in json_data.files],
        )
    )
    # A repeat finds the transfer of a file in parts begun, or ended: then it has no links.
    begun = {upload.id: upload.parts_id for upload in created if upload.parts_id}
    opened = {
        upload.id: backend.blobs.begin_parts(upload.key, content_type=upload.content_type)
        for upload in created
        if upload.parts_id == ""
    }
    name_parts(backend.database, opened)
    places = [
        _in_parts(backend, upload, (opened | begun).get(upload.id))
        if file.method == "multipart"
        else _in_one(backend, upload, by_form=file.method == "post")
        for upload, file in zip(created, json_data.files, strict=True)
    ]
    return answers.Uploads(uploads=places), 201, headers


@blueprint.post("/v1/uploads/<id:upload_id>/parts")
@blueprint.input(requests.WantedParts, location="json")
@blueprint.output(answers.UploadParts, description="A link for each part, in the order asked for.")
@blueprint.doc(
    summary="Get links to parts again",
    description=(
        "For parts whose links have expired, or that are sent again. What arrived already stays. Repeating it changes "
        "nothing."
    ),
    responses=responses(
        "upload_complete",
        "blob_store_unavailable",
    ),
)
def renew_parts(upload_id: str, json_data: requests.WantedParts) -> answers.UploadParts:
    backend = stores()
    upload, parts_id = _unfinished(backend, upload_id)
    if parts_id is None:
        raise Problem("upload_complete", "The upload is complete, or is not sent in parts.")
    sizes = part_sizes(upload.size or 0)
    for index, number in enumerate(json_data.numbers):
        if number > len(sizes):
            detail = f"The file has {len(sizes)} parts."
            params: Params = {"most": len(sizes)}
            fault = Fault(pointer=pointer("numbers", index), code="part_unknown", params=params, detail=detail)
            raise Problem("validation_failed", f"{fault.pointer}: {detail}", faults=[fault])
    return answers.UploadParts(
        parts=[_part(backend, upload, parts_id, number, sizes[number - 1]) for number in json_data.numbers]
    )


@blueprint.post("/v1/uploads/<id:upload_id>/complete")
@blueprint.input(requests.SentParts, location="json")
@blueprint.output(answers.StoredUpload, description="The file is whole: jobs may name it.")
@blueprint.doc(
    summary="Complete an upload in parts",
    description="Name all parts with the `ETag`s that their links answered with. Repeating it changes nothing.",
    responses=responses(
        "blob_not_found",
        "parts_invalid",
        "blob_store_unavailable",
        "blob_store_refused",
    ),
)
def complete(upload_id: str, json_data: requests.SentParts) -> answers.StoredUpload:
    backend = stores()
    upload, parts_id = _unfinished(backend, upload_id)
    if parts_id is not None:
        sent = sorted(json_data.parts, key=lambda part: part.number)
        if [part.number for part in sent] != list(range(1, len(part_sizes(upload.size or 0)) + 1)):
            raise PartsInvalid
        etags = [part.etag for part in sent]
        backend.blobs.join_parts(upload.key, parts_id, etags, content_type=upload.content_type)
        mark_complete(backend.database, auth.tenant(), upload.id)
    return answers.StoredUpload(
        id=upload.id,
        filename=upload.filename,
        content_type=upload.content_type,
        size=backend.blobs.stat(upload.key).size,
        expires_at=upload.expires_at,
    )


@blueprint.delete("/v1/uploads/<id:upload_id>")
@blueprint.doc(
    summary="Delete an upload",
    description=(
        "A file that no job will name, sent whole, in parts so far, or not at all. Its bytes are deleted when its "
        "links have expired."
    ),
    responses=responses(
        "upload_in_use",
        also={204: {"description": "It is dropped."}},
    ),
)
def drop(upload_id: str) -> Response:
    backend = stores()
    drop_upload(backend.database, auth.tenant(), upload_id, links_s=backend.settings.link_expiry_s)
    return Response(status=204)


def _hold_parts(files: list[requests.NewUpload]) -> None:
    """Raises Problem: more parts than one answer lists links for."""
    parts = 0
    for index, file in enumerate(files):
        if file.method == "multipart":
            parts += len(part_sizes(file.size or 0))
        if parts > _MAX_PARTS:
            detail = f"Up to here the files have {parts} parts; one request may ask for {_MAX_PARTS}. Ask in several."
            params: Params = {"most": _MAX_PARTS}
            fault = Fault(pointer=pointer("files", index), code="parts_too_many", params=params, detail=detail)
            raise Problem("validation_failed", f"{fault.pointer}: {detail}", faults=[fault])


def _in_one(backend: Stores, upload: Upload, *, by_form: bool) -> answers.Upload:
    expires_s = backend.settings.link_expiry_s
    if by_form:
        link = backend.blobs.presigned_post(
            upload.key,
            content_type=upload.content_type,
            max_bytes=backend.settings.max_image_bytes,
            expires_s=expires_s,
            size=upload.size,
        )
    else:
        link = backend.blobs.presigned_put(
            upload.key, content_type=upload.content_type, size=upload.size, expires_s=expires_s
        )
    return answers.Upload(
        id=upload.id,
        filename=upload.filename,
        method=link.method,
        url=link.url,
        headers=link.headers,
        fields=link.fields,
        parts=[],
        expires_at=link.expires_at,
    )


def _in_parts(backend: Stores, upload: Upload, parts_id: str | None) -> answers.Upload:
    sizes = part_sizes(upload.size or 0) if parts_id is not None else []
    parts = [_part(backend, upload, parts_id or "", number, size) for number, size in enumerate(sizes, 1)]
    return answers.Upload(
        id=upload.id,
        filename=upload.filename,
        method="PUT",
        url=None,
        headers={},
        fields={},
        parts=parts,
        expires_at=parts[0].expires_at if parts else upload.expires_at,
    )


def _part(backend: Stores, upload: Upload, parts_id: str, number: int, size: int) -> answers.UploadPart:
    link = backend.blobs.presigned_part(
        upload.key, parts_id, number, size=size, expires_s=backend.settings.link_expiry_s
    )
    return answers.UploadPart(number=number, size=size, url=link.url, headers=link.headers, expires_at=link.expires_at)


def _unfinished(backend: Stores, upload_id: str) -> tuple[Upload, str | None]:
    """An upload of the caller's, and the name of its transfer; ``None``: it has none, or no longer has one."""
    upload = find_upload(backend.database, auth.tenant(), upload_id)
    if upload.parts_id == "":
        # Its client never received it.
        raise NotFound("upload", upload_id)
    return upload, upload.parts_id
