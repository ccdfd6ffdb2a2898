"""Calls of the HTTP API: sent again where that helps, their answers read into models, their errors made exceptions."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from cleanplate.client.following import refusal
from cleanplate.client.retries import Retries
from cleanplate.errors import ServiceUnreachable, UsageError

PAGE = 200
TIMEOUT = httpx.Timeout(60.0, connect=10.0)

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")


class Calls:
    """Calls of the API at ``url`` with a key, from any thread."""

    def __init__(self, url: str, api_key: str, retries: Retries) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise UsageError(f"{url!r} is not the address of a service: it must begin with http:// or https://.")
        self.url = url.rstrip("/")
        self.retries = retries
        self.http = httpx.Client(timeout=TIMEOUT, headers={"Authorization": f"Bearer {api_key}"})

    def call(self, kind: type[Answer], method: str, path: str, **how: Any) -> Answer:
        """Like :meth:`json`, as ``kind``."""
        return self.read(kind, self.json(method, path, **how))

    def json(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Any:
        """The answer's JSON; ``repeatable``: the call may happen twice."""

        def send() -> Any:
            answer = self.http.request(method, self.url + path, json=json, params=params, headers=headers)
            if not answer.is_success:
                raise refusal(answer)
            try:
                return answer.json()
            except ValueError:
                raise ServiceUnreachable(self.url, "the answer is not Cleanplate's") from None

        return self.again(send, repeatable=repeatable)

    def drop(self, path: str) -> None:
        """``DELETE`` what is there."""

        def send() -> None:
            answer = self.http.delete(self.url + path)
            if not answer.is_success:
                raise refusal(answer)

        self.again(send)

    def pages(self, kind: type[Answer], path: str, query: Mapping[str, str]) -> Iterator[Answer]:
        """All entries of a list, fetched page by page."""
        cursor: str | None = None
        while True:
            params = {**query, "limit": str(PAGE)} | ({} if cursor is None else {"cursor": cursor})
            page = self.json("GET", path, params=params)
            for item in page["data"]:
                yield self.read(kind, item)
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def lines(self, kind: type[Answer], path: str) -> Iterator[Answer]:
        """All lines of a JSON Lines file."""

        def fetch() -> str:
            answer = self.http.get(self.url + path)
            if not answer.is_success:
                raise refusal(answer)
            return answer.text

        for line in self.again(fetch).splitlines():
            yield self.parse(kind, line)

    def parse(self, kind: type[Answer], text: str) -> Answer:
        """JSON as ``kind``."""
        try:
            return self.read(kind, json_module.loads(text))
        except ValueError:
            raise ServiceUnreachable(self.url, f"the answer is not a {kind.__name__}") from None

    def read(self, kind: type[Answer], value: Any) -> Answer:
        """A value as ``kind``."""
        try:
            return kind.model_validate(value)
        except ValidationError:
            raise ServiceUnreachable(self.url, f"the answer is not a {kind.__name__}") from None

    def again(self, call: Callable[[], Result], *, repeatable: bool = True) -> Result:
        """The call's result, after as many tries as it takes and the retries allow."""
        try:
            return self.retries.call(call, repeatable=repeatable)
        except httpx.TransportError as error:
            raise self.unreachable(error) from error

    def unreachable(self, error: httpx.TransportError) -> ServiceUnreachable:
        """The error of a call that got no answer."""
        return ServiceUnreachable(self.url, str(error) or type(error).__name__)
