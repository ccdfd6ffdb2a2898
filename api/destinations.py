"""Checks a job's destination before the job is written: whether it is allowed and writable, and its addresses.

A probe is an empty object that is written into the destination's folder and deleted again.
"""

from __future__ import annotations

from secrets import token_hex

from pydantic import ValidationError

from api.answers import Fault
from api.problems import MAX_FAULTS, Problem, pointer, validation_problem
from api.stores import Stores
from cleanplate.base.destinations import Destination
from cleanplate.base.names import stem_and_extension
from cleanplate.base.options import JobOptions
from model.formats import OUTPUTS
from storage.blobs.buckets import reason_against_destination
from storage.errors import BlobNotFound, BlobStoreRefused
from storage.ledger.tenants.uploads import upload_names
from storage.records import NewImage, NewJob

#: In place of an image's id, which is not known yet.
_SOME_ID = "img_0"


def read_destination(given: Destination | str | None) -> Destination | None:
    """The destination of a request, which may be an address alone. Raises Problem: ``validation_failed``."""
    if not isinstance(given, str):
        return given
    try:
        return Destination(url=given)
    except ValidationError as error:
        raise validation_problem(error, prefix=("destination",)) from error


def check_destination(stores: Stores, tenant: str, job: NewJob) -> None:
    """Checks where a job's results go, and probes the bucket.

    Raises:
        Problem: ``destination_not_allowed``, ``destination_collides``, ``destination_refused``, ``validation_failed``.
    """
    if job.destination is None:
        return
    check_folder(stores, job.destination)
    expected_addresses(stores, tenant, job)
    probe_destination(stores, job.destination)


def probe_destination(stores: Stores, destination: Destination) -> None:
    """Checks that the service may write into a destination, and can.

    Raises:
        Problem: ``destination_not_allowed``, ``destination_refused``.
    """
    check_folder(stores, destination)
    try:
        stores.buckets.probe(destination.folder, f".cleanplate-probe-{token_hex(8)}")
    except (BlobNotFound, BlobStoreRefused) as error:
        detail = "This service cannot write there: the bucket does not exist, or access is denied."
        raise _problem("destination_refused", detail) from error


def check_folder(stores: Stores, destination: Destination) -> None:
    """Checks whether the service may write into a destination's folder. Raises Problem ``destination_not_allowed``."""
    reason = reason_against_destination(destination.folder, stores.settings)
    if reason is not None:
        raise _problem("destination_not_allowed", reason)


def expected_addresses(stores: Stores, tenant: str, job: NewJob) -> list[str]:
    """The addresses of a job's results, as far as they are known before a worker reads the pictures.

    Raises:
        Problem: two are the same, or one is that of a source, or not allowed.
    """
    destination = job.destination
    if destination is None:
        return []
    nameless = {image.source_upload_id for image in job.images if image.name is None and image.source_upload_id}
    names = upload_names(stores.database, tenant, nameless) if nameless else {}
    first: dict[str, int] = {}
    faults: list[Fault] = []
    code = "destination_collides"
    for index, image in enumerate(job.images):
        place = pointer("images", index)
        try:
            url = expected_address(
                destination, image, job.options, name=names.get(image.source_upload_id or "", "image"), index=index
            )
        except ValueError as error:
            code, detail = "validation_failed", f"It has no address in the destination: {error}."
        else:
            reason = reason_against_destination(url, stores.settings)
            earlier = first.setdefault(url, index)
            if reason is not None:
                code, detail = "destination_not_allowed", reason
            elif url == image.source_url:
                detail = "The result would overwrite its own source: name another folder, or another name."
            elif earlier != index:
                detail = f"Its result has the address of that of image {earlier}: {url}."
            else:
                continue
        faults.append(Fault(pointer=place, detail=detail))
        if len(faults) == MAX_FAULTS:
            break
    if faults:
        raise Problem(code, f"{faults[0].pointer}: {faults[0].detail}", faults=faults)
    return list(first)


def expected_address(
    destination: Destination, image: NewImage, options: JobOptions, *, name: str = "image", index: int = 0
) -> str:
    """The address of an image's result, as far as it is known before a worker reads the picture.

    ``name`` is the file name of an image that has none of its own.

    Raises:
        ValueError: as :meth:`Destination.address`.
    """
    file = image.name or name
    own = options if image.options is None else options.with_image(image.options)
    extension = stem_and_extension(file)[1]
    output = OUTPUTS.get(own.output or "")
    if output is not None and not own.keep_extension and extension.lower() not in output.endings:
        extension = output.ending
    return destination.address(
        path=image.path,
        name=file,
        extension=extension,
        custom_id=image.custom_id,
        image_id=f"{_SOME_ID}{index}",
    )


def _problem(code: str, detail: str) -> Problem:
    return Problem(code, detail, faults=[Fault(pointer=pointer("destination"), detail=detail)])
