"""Writes a result into the bucket that its job names, beside the service's own store."""

from __future__ import annotations

from cleanplate.base.settings import Settings
from storage.blobs.buckets import SOURCE_VERSION, Buckets, reason_against_destination
from storage.errors import BlobNotFound, BlobStoreRefused, BlobStoreUnavailable
from workers.device.images.image_context import ImageContext
from workers.device.images.outcomes import ResultFile, result_extension
from workers.errors import DestinationRefused, DestinationUnavailable


def deliver(context: ImageContext, result: ResultFile, buckets: Buckets, settings: Settings) -> str | None:
    """Write the result where the image's job wants it; its address, ``None`` where the job names none.

    The address follows from the image, so that a repeat overwrites itself. The object's metadata name the version of
    the source in S3 that the result was made of.

    Raises:
        DestinationRefused: a retry does not help.
        DestinationUnavailable: a retry may help.
    """
    image = context.image
    destination = image.destination
    if destination is None:
        return None
    try:
        url = destination.address(
            path=image.path,
            name=image.name,
            extension=result_extension(context, result),
            custom_id=image.custom_id,
            image_id=image.id,
        )
    except ValueError as error:
        raise DestinationRefused(f"The result has no address in the destination: {error}.") from error
    reason = reason_against_destination(url, settings)
    if reason is not None:
        raise DestinationRefused(reason)
    version = {} if context.source_version is None else {SOURCE_VERSION: context.source_version}
    try:
        buckets.put(
            url,
            result.data,
            content_type=result.content_type,
            cache_control=destination.cache_control,
            metadata={**(destination.metadata or {}), **version},
        )
    except (BlobNotFound, BlobStoreRefused) as error:
        raise DestinationRefused("The bucket does not let this service write the result.") from error
    except BlobStoreUnavailable as error:
        raise DestinationUnavailable("The bucket did not take the result.") from error
    return url
