"""The requests of ``httpx`` with a long timeout: on a busy machine its default of five seconds is too short."""

from __future__ import annotations

from functools import partial

import httpx

TIMEOUT_S = 60.0

get = partial(httpx.get, timeout=TIMEOUT_S)
post = partial(httpx.post, timeout=TIMEOUT_S)
put = partial(httpx.put, timeout=TIMEOUT_S)
delete = partial(httpx.delete, timeout=TIMEOUT_S)
request = partial(httpx.request, timeout=TIMEOUT_S)
client = partial(httpx.Client, timeout=TIMEOUT_S)
