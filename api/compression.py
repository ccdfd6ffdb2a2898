"""Compresses the page's scripts, styles and drawings, and the API's description: public text, the same for everyone.

All other answers stay as they are, because they may hold a secret beside text that a stranger chooses: there the length
of a compressed answer would tell what the secret is (BREACH).
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from http import HTTPStatus

from flask import Flask, Response, request

_PUBLIC = frozenset({"static", "openapi.spec"})
_TEXT = frozenset({"text/css", "text/javascript", "image/svg+xml", "application/json"})


def register(app: Flask) -> None:
    """Compress the public text of ``app`` for those who accept gzip. Its tag is another than that of the plain text."""
    app.after_request(_compress)


def _compress(answer: Response) -> Response:
    if request.endpoint not in _PUBLIC or answer.mimetype not in _TEXT:
        return answer
    answer.vary.add("Accept-Encoding")
    # Ranges (206) are of the plain text, and so is the tag of an answer that has not changed (304).
    if answer.status_code != HTTPStatus.OK or not request.accept_encodings["gzip"]:
        return answer
    tag, _ = answer.get_etag()
    answer.direct_passthrough = False
    plain = answer.get_data()
    answer.close()
    answer.set_data(_compressed(plain))
    answer.content_encoding = "gzip"
    answer.headers.pop("Accept-Ranges", None)
    if tag:
        answer.set_etag(f"{tag}-gzip")
    answer.make_conditional(request)
    return answer


@lru_cache(maxsize=256)
def _compressed(plain: bytes) -> bytes:
    return gzip.compress(plain, mtime=0)
