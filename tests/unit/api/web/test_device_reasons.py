"""Why a worker does not run is said in the reader's language, by the code of the reason."""

from __future__ import annotations

import re

from tests.running import REPOSITORY
from tests.unit.api.calling import Service

_SOURCES = ("model/errors.py", "storage/errors.py", "cleanplate/errors.py", "workers/errors.py")


def test_every_reason_of_a_device_is_said_in_chinese(service: Service) -> None:
    codes = {code for path in _SOURCES for code in re.findall(r' code = "(\w+)"', (REPOSITORY / path).read_text())}
    codes |= {"process_died", "dispatch_down", "serve_down", "worker_down", "RuntimeError"}
    said = {}
    with service.app.test_request_context("/admin?lang=zh-CN"):
        macro = service.app.jinja_env.get_template("web/words.html").module
        for code in codes:
            said[code] = str(macro.device_reason(f"{code}: This sentence is in English alone."))  # type: ignore[attr-defined]
    assert {code: text for code, text in said.items() if re.search("[A-Za-z]{4,}", text) or not text.strip()} == {}
    assert said["device_lost"] != said["RuntimeError"]
