"""The key of the audit log and the ends of its chains, both outside of the ledger.

Whoever can write the ledger has neither: he cannot make a chain that verifies, nor cut one unnoticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from cleanplate.base.settings import Settings
from storage.blobs.base import Blobs
from storage.blobs.links import signing_key

FOLDER = "audit/heads/"
Heads = dict[str, tuple[int, str]]


def audit_key(settings: Settings) -> bytes | None:
    """The key of the chains: of the settings, else of the home folder where the ledger is a file of it too.

    ``None``: several machines share the ledger, and none was set.
    """
    text = settings.audit_key.get_secret_value()
    if not text and not settings.database_url.get_secret_value():
        text = signing_key(settings.home / "audit-key")
    return text.encode() or None


def write_heads(blobs: Blobs, heads: Heads, at: datetime) -> None:
    """Keeps the ends of the chains under the hour of ``at``; earlier hours stay."""
    blobs.put(f"{FOLDER}{at:%Y%m%dT%H}.json", json.dumps(heads).encode(), content_type="application/json")


def read_heads(blobs: Blobs) -> Iterator[tuple[str, int, str]]:
    """Tenant, number and hash of all ends that were kept, oldest first."""
    for blob in blobs.list(FOLDER):
        for tenant_id, (sequence, digest) in json.loads(blobs.get(blob.key)).items():
            yield tenant_id, sequence, digest
