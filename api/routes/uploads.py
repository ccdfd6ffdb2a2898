"""Places for files: clients ask for signed links and send the bytes straight to the object store."""

from __future__ import annotations

from apiflask import APIBlueprint

from api import answers, auth, requests
from api.answers import Fault
from api.bodies import only_json
from api.problems import Problem, pointer, responses
from api.stores import stores
from storage.ledger.jobs import create_uploads
from storage.records import Scope

blueprint = APIBlueprint(
    "uploads", __name__, tag={"name": "Uploads", "description": "Places for files in the object store."}
)
auth.protect(blueprint, writes=Scope.SUBMIT)
only_json(blueprint)


@blueprint.post("/v1/uploads")
@blueprint.input(requests.NewUploads, location="json")
@blueprint.output(answers.Uploads, status_code=201, description="A place for each file, in the order asked for.")
@blueprint.doc(
    summary="Get links to send files to",
    description=(
        "Ask for a link per picture and mask, send each file to its link with the method and headers given, then name "
        "the ids in `POST /v1/jobs`. An upload that no job names in time is dropped."
    ),
    responses=responses(
        "json_invalid",
        "key_missing",
        "key_wrong",
        "scope_missing",
        "request_too_large",
        "image_too_large",
        "quota_exceeded",
        "size_missing",
        "media_type_unsupported",
        "validation_failed",
        "ledger_unavailable",
        "blob_store_unavailable",
    ),
)
def create(json_data: requests.NewUploads) -> answers.Uploads:
    here = stores()
    for index, file in enumerate(json_data.files):
        if file.size is not None and file.size > here.settings.max_image_bytes:
            detail = f"The file may have {here.settings.max_image_bytes} bytes at most."
            place = pointer("files", index, "size")
            raise Problem("image_too_large", detail, faults=[Fault(pointer=place, detail=detail)])
    created = create_uploads(
        here.database,
        auth.tenant(),
        [(file.filename, file.content_type) for file in json_data.files],
        expires_in_s=here.settings.upload_expiry_s,
        sizes=[file.size for file in json_data.files],
    )
    places = []
    for upload in created:
        link = here.blobs.presigned_put(
            upload.key,
            content_type=upload.content_type,
            size=upload.size,
            expires_s=here.settings.link_expiry_s,
        )
        places.append(
            answers.Upload(
                id=upload.id,
                filename=upload.filename,
                method=link.method,
                url=link.url,
                headers=link.headers,
                expires_at=link.expires_at,
            )
        )
    return answers.Uploads(uploads=places)
