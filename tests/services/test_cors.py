"""CORS on a real S3 server: only the web page's origin may send files to the bucket."""

from __future__ import annotations

import secrets
from typing import Any

import boto3
import httpx
import pytest
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.blobs import S3Blobs, open_blobs
from storage.blobs.s3_cors import origin_of
from tests import patient
from tests.servers import S3Server

PAGE = "https://clean.example"
OPERATORS = {"AllowedOrigins": ["https://shop.example"], "AllowedMethods": ["GET"]}


@pytest.fixture
def s3_settings(s3_server: S3Server) -> Settings:
    return Settings(
        public_url=f"{PAGE}:443/",
        blobs_url=f"s3://pages-{secrets.token_hex(8)}",
        s3_endpoint_url=s3_server.endpoint_url,
        s3_access_key_id=SecretStr(s3_server.access_key_id),
        s3_secret_access_key=SecretStr(s3_server.secret_access_key),
    )


@pytest.fixture
def s3(s3_server: S3Server) -> Any:
    """A client of the server that bypasses the blob store."""
    return boto3.session.Session().client(
        "s3",
        region_name="us-east-1",
        endpoint_url=s3_server.endpoint_url,
        aws_access_key_id=s3_server.access_key_id,
        aws_secret_access_key=s3_server.secret_access_key,
    )


def open_bucket(settings: Settings) -> S3Blobs:
    """Open the blob store and ensure its bucket, with its CORS rules."""
    blobs = open_blobs(settings)
    assert isinstance(blobs, S3Blobs)
    blobs.ensure_bucket()
    return blobs


def is_allowed(blobs: S3Blobs, origin: str, method: str = "PUT") -> bool:
    """Whether a browser would send a file from a page of this origin."""
    link = blobs.presigned_put("t/1/a.png", content_type="image/png", expires_s=60)
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type",
    }
    answer = httpx.options(link.url, headers=preflight)
    return (
        answer.is_success
        and answer.headers.get("access-control-allow-origin") in {origin, "*"}
        and method in answer.headers.get("access-control-allow-methods", "")
    )


@pytest.mark.parametrize("method", ["PUT", "POST", "GET", "HEAD"])
def test_the_page_may_send_and_fetch_and_others_may_not(s3_settings: Settings, method: str) -> None:
    blobs = open_bucket(s3_settings)
    assert is_allowed(blobs, PAGE, method)
    assert not is_allowed(blobs, "https://other.example", method)
    assert not is_allowed(blobs, PAGE, "DELETE")


def test_the_page_sees_the_tag_of_what_it_sent(s3_settings: Settings) -> None:
    link = open_bucket(s3_settings).presigned_put("t/1/a.png", content_type="image/png", expires_s=60)
    answer = patient.put(link.url, headers={**link.headers, "Origin": PAGE}, content=b"x")
    assert answer.is_success
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "ETag" in answer.headers["access-control-expose-headers"]


def test_the_page_that_moves_is_let_in_at_its_new_address_alone(s3_settings: Settings) -> None:
    open_bucket(s3_settings)
    blobs = open_bucket(s3_settings.model_copy(update={"public_url": "https://moved.example:8443"}))
    assert is_allowed(blobs, "https://moved.example:8443")
    assert not is_allowed(blobs, PAGE)


def test_the_operators_rules_stand(s3_settings: Settings, s3: Any) -> None:
    bucket = s3_settings.blobs_url.removeprefix("s3://")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [OPERATORS]})
    blobs = open_bucket(s3_settings)
    (rule,) = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert {name: rule[name] for name in OPERATORS} == OPERATORS
    assert not is_allowed(blobs, PAGE)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://clean.example/", "https://clean.example"),
        ("https://Clean.example:443", "https://clean.example"),
        ("http://127.0.0.1:8787/under", "http://127.0.0.1:8787"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin_is_named_as_browsers_name_it(url: str, origin: str) -> None:
    assert origin_of(url) == origin
