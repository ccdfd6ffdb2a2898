"""The CORS rules by which browsers let the web page send files straight to a bucket.

The service keeps one rule, for its own page's origin. Where an operator has written rules, those stand as they are.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import structlog
from botocore.exceptions import ClientError

from storage.blobs.s3_calls import error_code

_log = structlog.get_logger("storage.blobs")

_ID = "cleanplate-page"
_NO_RULES = frozenset({"NoSuchCORSConfiguration", "NoSuchCORSConfig"})
#: Error codes of servers without CORS, and of credentials that may not read or write its rules.
_NOT_OURS = frozenset({"NotImplemented", "MethodNotAllowed", "AccessDenied", "AccessForbidden"})


def origin_of(url: str) -> str:
    """The origin of a page at ``url`` (RFC 6454): without path and default port."""
    address = urlsplit(url)
    host = address.hostname or ""
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(address.scheme)
    return f"{address.scheme}://{host}" + (f":{address.port}" if address.port not in {None, usual} else "")


def let_page_in(client: Any, bucket: str, origin: str) -> None:
    """Lets pages of ``origin`` write to the bucket and read from it. Repeating it changes nothing.

    A store that knows no such rules, or lets these credentials set none, is left to its operator with a warning.
    """
    wanted = {
        "ID": _ID,
        "AllowedOrigins": [origin],
        "AllowedMethods": ["GET", "HEAD", "POST", "PUT"],
        "AllowedHeaders": ["Content-Type"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }
    try:
        there = _rules(client, bucket)
        if any(rule.get("ID") != _ID for rule in there):
            _log.info("blobs.cors_left", bucket=bucket, detail="The bucket has CORS rules of its operator's.")
        elif there != [wanted]:
            client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [wanted]})
    except ClientError as error:
        if error_code(error) not in _NOT_OURS:
            raise
        detail = f"The web page cannot send files unless the bucket's CORS rules let {origin} do so."
        _log.warning("blobs.cors_not_set", bucket=bucket, code=error_code(error), detail=detail)


def _rules(client: Any, bucket: str) -> list[dict[str, Any]]:
    try:
        rules: list[dict[str, Any]] = client.get_bucket_cors(Bucket=bucket).get("CORSRules", [])
    except ClientError as error:
        if error_code(error) in _NO_RULES:
            return []
        raise
    return rules
