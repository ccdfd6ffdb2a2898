"""Error answers of the API and of the object store, as exceptions."""

from __future__ import annotations

import httpx

from cleanplate.errors import Refused


def refusal(response: httpx.Response) -> Refused:
    """The exception of an API error (problem+json); the body must have been read."""
    body: object = {}
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        body = response.json()
    problem = body if isinstance(body, dict) else {}
    detail = problem.get("detail") or problem.get("title") or f"The service answered {response.status_code}."
    code = problem.get("code", f"http_{response.status_code}")
    return Refused(response.status_code, code, detail, retry_after_s(response))


def store_refusal(response: httpx.Response, name: str) -> Refused:
    """The exception of an object store's error for one file. Its text never holds the signed link."""
    detail = f"The object store answered {response.status_code} for {name}."
    return Refused(response.status_code, "transfer_refused", detail, retry_after_s(response))


def retry_after_s(response: httpx.Response) -> float | None:
    """Seconds that ``Retry-After`` asks to wait; ``None`` where it is missing or a date."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
