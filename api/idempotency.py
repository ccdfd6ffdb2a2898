"""The header ``Idempotency-Key``: a repeated request gets the first answer again and has no second effect.

Two requests are equal if their contents are: the JSON's value, whatever the order of its keys and its blanks, or a
form's fields and the bytes of its files, because a client draws a new boundary for each try.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import TypeVar, cast

from flask import request

from api.bodies import StrictRequest
from api.problems import Problem
from storage.ledger.tenants.idempotency import Done, Once

HEADER = "Idempotency-Key"
#: The answer's header that marks a repeated answer.
REPLAYED = "Idempotency-Replayed"
Made = TypeVar("Made")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def once() -> Once | None:
    """The current request's key and fingerprint; ``None`` without a key.

    Raises:
        Problem: ``idempotency_key_invalid``.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Problem("idempotency_key_invalid", f"{HEADER} must be 1 to 255 printable ASCII characters, no blanks.")
    return Once(key, _fingerprint())


def _fingerprint() -> str:
    digest = hashlib.sha256(f"{request.method} {request.path}\n".encode())
    if request.args:
        digest.update(json.dumps(sorted(request.args.items(multi=True))).encode())
    if request.is_json:
        digest.update(json.dumps(request.get_json(), sort_keys=True, separators=(",", ":")).encode())
        return digest.hexdigest()
    if request.mimetype != "multipart/form-data":
        digest.update(request.get_data(cache=True))
        return digest.hexdigest()
    cast(StrictRequest, request).parse_form()
    digest.update(json.dumps(sorted(request.form.items(multi=True))).encode())
    for name, part in request.files.items(multi=True):
        part.stream.seek(0)
        content = hashlib.file_digest(part.stream, "sha256").hexdigest()  # type: ignore[arg-type]
        digest.update(json.dumps([name, part.filename, content]).encode())
    return digest.hexdigest()


def done_once(write: Callable[[Once | None], Done[Made]]) -> tuple[Made, dict[str, str]]:
    """What a request made, by itself or at an earlier try, and the headers that say so.

    Raises:
        Problem: ``idempotency_key_invalid``.
    """
    done = write(once())
    return done.made, {REPLAYED: "true"} if done.replayed else {}
