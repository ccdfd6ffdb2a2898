"""Calls of the HTTP API: repeated after transient failures, answers read into models, errors raised as exceptions."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from pydantic import BaseModel, ValidationError

from cleanplate.client.refusals import refusal
from cleanplate.client.retries import Retries
from cleanplate.errors import ServiceUnreachable, UsageError

PAGE_SIZE = 200
TIMEOUT = httpx.Timeout(60.0, connect=10.0)

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")


class Calls:
    """Calls of the API at ``url`` with a key, from any thread. ``http`` carries them and the transfers of files."""

    def __init__(self, url: str, api_key: str, retries: Retries, http: httpx.Client) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise UsageError(f"{url!r} is not the address of a service: it must begin with http:// or https://.")
        self.url = url.rstrip("/")
        self.retries = retries
        self.http = http
        # Set on each call and not on ``http``: an object store refuses a second authority and must not see the key.
        self._authorization = {"Authorization": f"Bearer {api_key}"}

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> httpx.Response:
        """One request, sent once; the response whatever its status. Redirects are not followed."""
        return self.http.request(
            method,
            self.url + path,
            json=json,
            params=params,
            headers={**(headers or {}), **self._authorization},
            timeout=httpx.USE_CLIENT_DEFAULT if timeout is None else timeout,
            follow_redirects=False,
        )

    def stream(
        self, path: str, *, headers: Mapping[str, str] | None = None, timeout: httpx.Timeout | None = None
    ) -> AbstractContextManager[httpx.Response]:
        """The response to one ``GET``, its body unread."""
        return self.http.stream(
            "GET",
            self.url + path,
            headers={**(headers or {}), **self._authorization},
            timeout=httpx.USE_CLIENT_DEFAULT if timeout is None else timeout,
            follow_redirects=False,
        )

    def call(self, kind: type[Answer], method: str, path: str, **how: Any) -> Answer:
        """Like :meth:`json`, as ``kind``."""
        return self.read(kind, self.json(method, path, **how))

    def json(self, method: str, path: str, *, once: bool = False, **how: Any) -> Any:
        """The answer's JSON; ``once``: its repeats have no second effect. ``how`` is that of :meth:`send`."""
        if once:
            how["headers"] = {"Idempotency-Key": uuid4().hex}

        def send() -> Any:
            response = self.send(method, path, **how)
            if not response.is_success:
                raise refusal(response)
            try:
                return response.json()
            except ValueError:
                raise ServiceUnreachable(self.url, "the answer is not Cleanplate's") from None

        return self.repeat(send)

    def delete(self, path: str) -> None:
        """Delete the resource. A repeated call that finds nothing has succeeded: its first attempt deleted it."""
        attempts = 0

        def send() -> None:
            nonlocal attempts
            attempts += 1
            response = self.send("DELETE", path)
            if not response.is_success and not (attempts > 1 and response.status_code == httpx.codes.NOT_FOUND):
                raise refusal(response)

        self.repeat(send)

    def pages(self, kind: type[Answer], path: str, query: Mapping[str, str | None] | None = None) -> Iterator[Answer]:
        """All entries of a list, fetched page by page; ``None`` in ``query`` stands for no filter."""
        filters = {name: value for name, value in (query or {}).items() if value is not None}
        cursor: str | None = None
        while True:
            params = {**filters, "limit": str(PAGE_SIZE)} | ({} if cursor is None else {"cursor": cursor})
            page = self.json("GET", path, params=params)
            for item in page["data"]:
                yield self.read(kind, item)
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def lines(self, kind: type[Answer], path: str) -> Iterator[Answer]:
        """All lines of a JSON Lines file."""
        for line in self.text(path).splitlines():
            yield self.parse(kind, line)

    def text(self, path: str, **how: Any) -> str:
        """The answer's text; ``how`` is that of :meth:`send`."""

        def fetch() -> str:
            response = self.send("GET", path, **how)
            if not response.is_success:
                raise refusal(response)
            return response.text

        return self.repeat(fetch)

    def parse(self, kind: type[Answer], text: str) -> Answer:
        """JSON text as ``kind``."""
        try:
            return self.read(kind, json_module.loads(text))
        except ValueError:
            raise ServiceUnreachable(self.url, f"the answer is not a {kind.__name__}") from None

    def read(self, kind: type[Answer], value: Any) -> Answer:
        """A JSON value as ``kind``."""
        try:
            return kind.model_validate(value)
        except ValidationError:
            raise ServiceUnreachable(self.url, f"the answer is not a {kind.__name__}") from None

    def repeat(self, call: Callable[[], Result]) -> Result:
        """The call's result, after as many attempts as the retries allow."""
        try:
            return self.retries.call(call)
        except httpx.TransportError as error:
            raise self.unreachable(error) from error

    def unreachable(self, error: httpx.TransportError) -> ServiceUnreachable:
        """The error of a call that got no answer."""
        return ServiceUnreachable(self.url, str(error) or type(error).__name__)
