"""Presigned links are botocore's, sign by sign, whatever the address, the key and the credentials."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import NoCredentialsError

from storage.blobs import S3Blobs
from storage.blobs.signing import Address, signed_link
from storage.errors import BlobStoreRefused

CASES: list[tuple[str, str, dict[str, Any], dict[str, str], dict[str, str]]] = [
    ("get_object", "GET", {}, {}, {}),
    (
        "get_object",
        "GET",
        {"ResponseContentDisposition": "attachment; filename*=utf-8''%C3%A9%20a+b.jpg"},
        {"response-content-disposition": "attachment; filename*=utf-8''%C3%A9%20a+b.jpg"},
        {},
    ),
    (
        "put_object",
        "PUT",
        {"ContentType": "image/jpeg", "ContentLength": 5},
        {},
        {"Content-Type": "image/jpeg", "Content-Length": "5"},
    ),
    (
        "upload_part",
        "PUT",
        {"UploadId": "a/+=d~", "PartNumber": 3, "ContentLength": 7},
        {"uploadId": "a/+=d~", "partNumber": "3"},
        {"Content-Length": "7"},
    ),
]


@cache
def connected(endpoint: str | None, token: str | None) -> tuple[Any, Any]:
    """A client, and its credentials."""
    session = boto3.session.Session(aws_access_key_id="key", aws_secret_access_key="secret", aws_session_token=token)
    config = Config(signature_version="s3v4", s3={"addressing_style": "path" if endpoint else "auto"})
    client = session.client("s3", region_name="eu-west-1", endpoint_url=endpoint, config=config)
    return client, session.get_credentials()


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:8333", "https://s3.example/below"])
@pytest.mark.parametrize("token", [None, "session/+="])
@pytest.mark.parametrize("name", ["t/a/b.jpg", "in side/é+(1)~.png"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join([case[0], *case[2]]))
def test_a_link_is_the_same_as_botocores(endpoint: str | None, token: str | None, name: str, case: Any) -> None:
    operation, method, params, query, headers = case
    client, credentials = connected(endpoint, token)
    params = {"Bucket": "shop-pictures", "Key": name, **params}
    expected = urlsplit(client.generate_presigned_url(operation, Params=params, ExpiresIn=60))
    made_at = datetime.strptime(parse_qs(expected.query)["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    link = signed_link(
        Address.of(client, "shop-pictures"),
        credentials,
        "eu-west-1",
        method=method,
        name=name,
        at=made_at,
        expires_s=60,
        query=query,
        headers=headers,
    )
    assert urlsplit(link)[:3] == expected[:3]
    assert parse_qs(urlsplit(link).query) == parse_qs(expected.query)


def test_a_store_without_credentials_refuses_to_sign() -> None:
    address = Address("https://s3.example", "s3.example", "/bucket/")
    with pytest.raises(NoCredentialsError):
        signed_link(
            address, None, "eu-west-1", method="GET", name="a", at=datetime.now(UTC), expires_s=1, query={}, headers={}
        )


def test_a_link_without_credentials_is_an_error_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(BlobStoreRefused, match="credentials"):
        S3Blobs(bucket="shop-pictures").presigned_get("t/a", filename="a.jpg", expires_s=60)
