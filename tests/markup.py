"""Texts with markup that a page must show as they are. A script among them would set ``window.stolen``."""

from __future__ import annotations

from typing import Any

SCRIPT = "window.stolen=1"
#: Without a slash and a comma, for names and labels.
TAG = f'"><img src=x onerror={SCRIPT}>'
TEXT = f"'{TAG}</script><script>{SCRIPT}</script><svg/onload={SCRIPT}>{{{{7*7}}}}${{7*7}}"
ADDRESS = f"https://shop.example/hook?{TEXT.replace(' ', '+')}"
#: Of a job.
FIELDS: dict[str, Any] = {
    "name": TEXT,
    "labels": [TAG],
    "metadata": {"season": TEXT},
    "attested_by": TEXT,
    "rights_reference": TEXT,
}
#: Of an image.
IMAGE_FIELDS: dict[str, Any] = {
    "name": f"{TAG}.png",
    "path": f"{TAG}/{TAG}.png",
    "custom_id": TEXT,
    "metadata": {"colour": TEXT},
}
#: Finds an element that the texts would have made.
MADE_OF_TEXT = "img[src='x'], svg[onload], script:not([src]):not([type='application/json'])"
