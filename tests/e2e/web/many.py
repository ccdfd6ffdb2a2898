"""A job with many results: those of a small job, as rows copied by SQL and files linked."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from cleanplate.client.http import Client, JobAnswer
from storage.blobs.keys import preview_key
from tests.e2e.web.catalogue import submit_folder
from tests.embedded import Embedded


def submit_many(service: Embedded, pictures: Path, mask: Path | list[Path], total: int) -> JobAnswer:
    """An ended job with ``total`` results, among them those of the pictures in the folder."""
    job = submit_folder(service, pictures, mask)
    with Client(service.url, service.key) as client:
        client.wait(job.id)
    with closing(sqlite3.connect(service.home / "ledger.sqlite3", timeout=30)) as ledger, ledger:
        ledger.row_factory = sqlite3.Row
        originals = [dict(row) for row in ledger.execute("SELECT * FROM images WHERE job_id = ?", [job.id])]
        numbers = range(len(originals), total)
        copies = [_copy(service.home, originals[number % len(originals)], number) for number in numbers]
        columns = list(originals[0])
        statement = f"INSERT INTO images ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        ledger.executemany(statement, [[copy[column] for column in columns] for copy in copies])
        counts = "UPDATE jobs SET total = ?, succeeded = succeeded + ? WHERE id = ?"
        ledger.execute(counts, [total, len(copies), job.id])
    return job


def _copy(home: Path, original: dict[str, object], number: int) -> dict[str, object]:
    tenant, job, image = str(original["tenant_id"]), str(original["job_id"]), f"img_{number:032x}"
    blobs = home / "blobs"
    os.link(blobs / preview_key(tenant, job, str(original["id"])), blobs / preview_key(tenant, job, image))
    name = f"shirt-{number:05}.png"
    return original | {"id": image, "position": number, "name": name, "doubt": number % 5000, "lease_token": None}
