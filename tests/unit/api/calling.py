"""The API in this process, on real stores. Every answer is checked against the API's own description."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Protocol

from apiflask import APIFlask
from jsonschema import Draft202012Validator
from PIL import Image
from werkzeug.test import TestResponse

from api.app import create_app
from api.stores import Stores
from cleanplate.base.settings import Settings
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.jobs.reading import list_images
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from storage.records import ImageState, Outcome, Scope

PUBLIC_URL = "http://cleanplate.test:8787"


#: The statement of rights of every job; a test omits a field with the value ``None``.
RIGHTS = {"rights_basis": "owner", "attested_by": "Jo Doe", "rights_reference": "own photographs"}


def picture(kind: str = "JPEG", size: tuple[int, int] = (24, 16), color: str = "teal") -> bytes:
    """The file of a small picture."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, kind)
    return file.getvalue()


def mask(size: tuple[int, int] = (24, 16)) -> bytes:
    """The file of a mask that marks the left half."""
    file, drawn = io.BytesIO(), Image.new("L", size, 0)
    drawn.paste(255, (0, 0, size[0] // 2, size[1]))
    drawn.save(file, "PNG")
    return file.getvalue()


@cache
def description_of_all() -> dict[str, Any]:
    """The API's own description: the same for all services."""
    description: dict[str, Any] = create_app(Settings(public_url=PUBLIC_URL)).test_client().get("/openapi.json").json
    return description


class Caller:
    """One tenant's client of the API. Every answer must be documented and fit its schema; errors must be problems."""

    def __init__(self, service: Service, key: str | None) -> None:
        self._service = service
        self._client = service.app.test_client()
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    def __call__(self, method: str, path: str, *, status: int, headers: Any = None, **rest: Any) -> TestResponse:
        answer = self.any(method, path, headers=headers, **rest)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer

    def any(self, method: str, path: str, *, headers: Any = None, **rest: Any) -> TestResponse:
        """Send a request; any documented answer is right."""
        path = path.removeprefix(PUBLIC_URL)
        if (method, path) == ("POST", "/v1/jobs"):
            for body in ("json", "data"):
                if isinstance(rest.get(body), dict):
                    stated = {**RIGHTS, **rest[body]}
                    rest[body] = {
                        name: value for name, value in stated.items() if value is not None or name not in RIGHTS
                    }
        answer = self._client.open(
            path, method=method, headers={**self.headers, **(headers or {})}, buffered=True, **rest
        )
        self._service.check(method, path.partition("?")[0], answer)
        return answer

    def get(self, path: str, status: int = 200, **rest: Any) -> TestResponse:
        return self("GET", path, status=status, **rest)

    def follow(self, path: str, headers: dict[str, str] | None = None) -> TestResponse:
        """A stream that the test reads as it arrives, and must close."""
        answer = self._client.get(path, headers={**self.headers, **(headers or {})})
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer

    def post(self, path: str, status: int, **rest: Any) -> TestResponse:
        return self("POST", path, status=status, **rest)

    def problem(self, method: str, path: str, status: int, code: str, **rest: Any) -> dict[str, Any]:
        """Send a request whose answer must be this problem; the answer's body."""
        body: dict[str, Any] = self(method, path, status=status, **rest).json
        assert body["code"] == code, body
        return body

    def upload(self, *files: tuple[str, bytes]) -> list[str]:
        """Upload files by links of a local store; their ids."""
        wanted = [{"filename": name, "content_type": "image/png"} for name, _ in files]
        uploads = self.post("/v1/uploads", 201, json={"files": wanted}).json["uploads"]
        for upload, (_, data) in zip(uploads, files, strict=True):
            self(upload["method"], upload["url"], status=204, headers=upload["headers"], data=data)
        return [upload["id"] for upload in uploads]

    def submit_manifest(self, manifest: str | bytes, status: int = 202, **job: Any) -> dict[str, Any]:
        """Submit a job with a manifest in the request; the answer."""
        data = manifest.encode() if isinstance(manifest, str) else manifest
        form = {"manifest": (io.BytesIO(data), "catalogue.txt"), "job": json.dumps({**RIGHTS, **job})}
        answer: dict[str, Any] = self.post("/v1/jobs/manifest", status, data=form).json
        return answer

    def submit(self, count: int = 1, **fields: Any) -> dict[str, Any]:
        """Submit a job of this number of images with one mask."""
        *images, marks = self.upload(*[(f"shirt-{n}.jpg", picture()) for n in range(count)], ("mask.png", mask()))
        body = {"images": [{"upload_id": image} for image in images], "mask_upload_id": marks, **fields}
        job: dict[str, Any] = self.post("/v1/jobs", 202, json=body).json
        return job


class Service:
    """An application, its stores, and tenants with keys. ``prepare`` may add routes to it."""

    def __init__(self, settings: Settings, prepare: Callable[[APIFlask], None] | None = None) -> None:
        self.settings = settings
        self.app = create_app(settings)
        if prepare is not None:
            prepare(self.app)
        stores = self.app.extensions["cleanplate"]
        assert isinstance(stores, Stores)
        self.stores = stores
        self.document = description_of_all()
        # Full paths before patterns that match them too.
        paths = sorted(self.document["paths"], key=lambda path: path.count("{"))
        self._paths = {re.sub(r"\{\w+\}", "[^/]+", path): path for path in paths}

    def tenant(self, name: str) -> str:
        return ensure_tenant(self.stores.database, name)

    def caller(self, name: str = "shop", scopes: Iterable[Scope] = tuple(Scope)) -> Caller:
        """A caller with a key of the tenant of this name."""
        _, secret = create_key(self.stores.database, self.tenant(name), "test", scopes=scopes)
        return Caller(self, secret)

    def stranger(self, key: str | None = None) -> Caller:
        """A caller without a key, or with this one."""
        return Caller(self, key)

    def check(self, method: str, path: str, answer: TestResponse) -> None:
        """Assert that the answer is documented and fits its schema."""
        rule = next((rule for rule in self._paths if re.fullmatch(rule, path)), None)
        operation = self.document["paths"].get(self._paths.get(rule or ""), {}).get(method.lower())
        assert "Retry-After" not in answer.headers or answer.status_code in {409, 429, 503}
        if answer.status_code >= 400:
            assert answer.mimetype == "application/problem+json"
            self._fits({"$ref": "#/components/schemas/Problem"}, answer.json)
        if operation is None:
            return
        assert str(answer.status_code) in operation["responses"], f"{method} {path}: {answer.status_code}"
        content = operation["responses"][str(answer.status_code)].get("content", {})
        if answer.is_json:
            assert answer.mimetype in content
            self._fits(content[answer.mimetype]["schema"], answer.json)

    def finish(self, job_id: str, **outcome: Any) -> None:
        """Lease the job's images as a worker, and end all of them in this state."""
        db = self.stores.database
        images = list_images(db, self.tenant("shop"), job_id, limit=1000, after=None)
        token, leased = lease_images(db, [image.id for image in images], worker="test", lease_s=60)
        outcomes = [Outcome(image_id=image.id, **outcome) for image in leased]
        assert finish_images(db, token, outcomes, max_attempts=1) == {image.id for image in images}

    def succeed(self, job_id: str, data: bytes = b"clean", extension: str = ".png") -> None:
        """Store a result for each of the job's images, as a worker does."""
        key = f"t/{self.tenant('shop')}/jobs/{job_id}/results/img_1{extension}"
        self.stores.blobs.put(key, data, content_type="image/png")
        self.finish(job_id, state=ImageState.SUCCEEDED, result_key=key, content_type="image/png", width=24, height=16)

    def _fits(self, schema: dict[str, Any], body: Any) -> None:
        whole = {**schema, "components": self.document["components"]}
        Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(body)


class MakeService(Protocol):
    """Makes services that are closed at the end of the test."""

    def __call__(
        self, settings: Settings, prepare: Callable[[APIFlask], None] | None = None, *, public_url: str = PUBLIC_URL
    ) -> Service: ...
