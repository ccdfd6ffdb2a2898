"""Calls to S3: this process's clients, reads of whole objects, and botocore's errors as the store's.

Clients are made in the process that uses them, at the first use: they must not cross a fork. Threads share one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from urllib3.exceptions import HTTPError

from storage.blobs.s3_deadline import CONNECT_S, bound
from storage.breaker import Breaker
from storage.errors import BlobNotFound, BlobStoreRefused, BlobStoreUnavailable, BlobTooLarge

#: Bytes.
_COPIED_AT_ONCE = 1 << 20
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
#: Error codes that ask for a retry, whatever their HTTP status.
_BUSY = frozenset({"SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "Throttling", "TooManyRequests"})


class Clients:
    """This process's clients, by address."""

    def __init__(self, region: str, access_key_id: str, secret_access_key: str) -> None:
        self._region = region
        self._access_key_id = access_key_id
        self._secret_access_key = secret_access_key
        self._lock = threading.Lock()
        self._clients: dict[tuple[int, str], Any] = {}

    def at(self, endpoint_url: str) -> Any:
        """The client for an address; empty: AWS."""
        with self._lock:
            place = (os.getpid(), endpoint_url)
            if place not in self._clients:
                self._clients[place] = self._connect(endpoint_url)
            return self._clients[place]

    def credentials(self, endpoint_url: str) -> Any:
        """Those of the client for an address, as botocore holds them; ``None``: there are none."""
        return self.at(endpoint_url)._request_signer._credentials

    def _connect(self, endpoint_url: str) -> Any:
        client = boto3.session.Session().client(
            "s3",
            region_name=self._region,
            endpoint_url=endpoint_url or None,
            aws_access_key_id=self._access_key_id or None,
            aws_secret_access_key=self._secret_access_key or None,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if endpoint_url else "auto"},
                retries={"mode": "standard", "total_max_attempts": 2},
                connect_timeout=CONNECT_S,
                read_timeout=5,
                max_pool_connections=32,
                # Otherwise presigned links would require a checksum, which clients do not send.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        bound(client)
        return client


def got(
    client: Any, bucket: str, name: str, max_bytes: int | None, timeout_s: float
) -> tuple[str, Generator[bytes, None, None]]:
    """An object's ETag, without quotes, and its whole body as it arrives, which raises where that breaks off.

    It reads from the underlying stream, which returns the bytes that have arrived. The body's own read waits for the
    requested number of bytes, so that a dripping server could hold a thread for hours.
    """
    until = time.monotonic() + timeout_s
    answer = client.get_object(Bucket=bucket, Key=name)
    return answer["ETag"].strip('"'), _pieces(answer, max_bytes, timeout_s, until)


def _pieces(answer: Any, max_bytes: int | None, timeout_s: float, until: float) -> Generator[bytes, None, None]:
    left = answer["ContentLength"]
    with closing(answer["Body"]) as body:
        if max_bytes is not None and left > max_bytes:
            raise BlobTooLarge(max_bytes)
        try:
            while left and (piece := body._raw_stream.read1(min(left, _COPIED_AT_ONCE))):
                left -= len(piece)
                yield piece
                if left and time.monotonic() > until:
                    raise BlobStoreUnavailable(f"The object store did not send the object within {timeout_s:g} s.")
        except (HTTPError, OSError) as error:
            raise BlobStoreUnavailable(f"The object store broke off ({type(error).__name__}).") from error
    if left:
        raise BlobStoreUnavailable(f"The object store broke off {left} bytes before the end.")


@contextmanager
def guarded(key: str, breaker: Breaker | None) -> Iterator[None]:
    """As :func:`translated`. With a breaker, the block fails at once while the server does not answer."""
    with translated(key):
        if breaker is None:
            yield
            return
        if not breaker.allows():
            raise BlobStoreUnavailable("The object store has not answered lately.")
        try:
            yield
        except (BotoCoreError, BlobStoreUnavailable):
            breaker.failed()
            raise
        except BaseException:
            breaker.answered()
            raise
        breaker.answered()


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Turns botocore's errors into the store's, without text that could hold a signed URL."""
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in MISSING:
            raise BlobNotFound(key) from error
        if status >= 500 or status == 429 or code in _BUSY:
            raise BlobStoreUnavailable(f"The object store answered {status} {code}. Try again shortly.") from error
        raise BlobStoreRefused(f"The object store refused {error.operation_name}: {status} {code}.") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise BlobStoreRefused(
            "There are no credentials for the object store. Set CLEANPLATE_S3_ACCESS_KEY_ID."
        ) from error
    except BotoCoreError as error:
        raise BlobStoreUnavailable(f"The object store did not answer ({type(error).__name__}).") from error


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
