"""Which pictures of a source in S3 have a result in the destination already, so that ``only_new`` leaves them out.

The service keeps nothing about it: a worker notes the version of the source in the metadata of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from api.destinations import expected_address
from api.stores import Stores
from cleanplate.base.destinations import Destination
from cleanplate.base.options import JobOptions
from storage.blobs.buckets import SOURCE_VERSION, Place
from storage.blobs.s3 import S3Object
from storage.errors import BlobNotFound
from storage.records import NewImage

#: Results asked for at once.
_THREADS = 32


def new_pictures(
    stores: Stores, found: Sequence[tuple[NewImage, S3Object]], destination: Destination, options: JobOptions
) -> list[NewImage]:
    """The pictures without a result of their present version, in their order. Asks for the metadata of each result.

    Raises:
        ValueError: a picture has no address in the destination.
        BlobNotFound, BlobStoreRefused, BlobStoreUnavailable: the destination cannot be read.
    """
    bucket = Place.at(destination.folder).bucket
    results = {f"s3://{bucket}/{stored.key}" for stored in stores.buckets.list(destination.folder)}

    def is_done(entry: tuple[NewImage, S3Object]) -> bool:
        image, source = entry
        address = expected_address(destination, image, options)
        if address not in results:
            return False
        try:
            _, metadata = stores.buckets.head(address)
        except BlobNotFound:  # deleted since it was listed
            return False
        return metadata.get(SOURCE_VERSION) == source.etag

    with ThreadPoolExecutor(_THREADS) as pool:
        return [image for (image, _), done in zip(found, pool.map(is_done, found), strict=True) if not done]
