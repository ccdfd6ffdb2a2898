"""A bucket of pictures in folders goes through one call into another prefix, and a worker process is killed midway.

``python -m bench.bucket PHOTOS [--pictures 2000] [-o FOLDER]`` starts Postgres, Redis and an S3 server as the tests do,
and API, dispatcher and worker as an operator does. The pictures are cut from the photos in PHOTOS. The script compares
the manifest with the listings and the bytes of both prefixes, prints the figures, and ends with status 1 if anything
differs.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import secrets
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from PIL import Image, ImageOps
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from cleanplate.client.answers import JobAnswer, Rights
from cleanplate.client.http import Client
from cleanplate.errors import ClientError
from storage.blobs import S3Blobs, open_blobs
from storage.database import Database
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from storage.migrate import migrate
from tests.running import Running, children, kill, running, until
from tests.servers import PostgresServer, RedisServer, S3Server, free_port, start_server

SIDES = (320, 240)
MASK = {"boxes": [[0.72, 0.88, 0.25, 0.09]], "units": "relative"}
RIGHTS = Rights(basis="owner", attested_by="bench", reference="own photographs")
SOURCE, DESTINATION = "spring/", "clean/"
ENDINGS = (("JPEG", "jpg"), ("PNG", "png"), ("JPEG", "JPG"), ("JPEG", "jpeg"), ("WEBP", "webp"))
#: Keys of the source that are no pictures.
OTHERS = ("list.csv", "shirts/notes.txt")


class Store:
    """One bucket of the S3 server."""

    def __init__(self, server: S3Server, bucket: str) -> None:
        self.bucket = bucket
        self._client = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=server.access_key_id,
            aws_secret_access_key=server.secret_access_key,
        )
        self._client.create_bucket(Bucket=bucket)

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=key)

    def hashes(self, prefix: str) -> dict[str, tuple[int, str]]:
        """Bytes and SHA-256 of every object under a prefix, by the rest of its key."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        found = {}
        for key in keys:
            data = self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            found[key.removeprefix(prefix)] = (len(data), hashlib.sha256(data).hexdigest())
        return found

    def close(self) -> None:
        self._client.close()


def cut_pictures(photos: Sequence[Path], count: int) -> Iterator[tuple[str, bytes]]:
    """Path and file of pictures, each another cut of a photo, in several formats."""
    draw = random.Random(1)
    opened = []
    for photo in photos:
        with Image.open(photo) as image:
            whole = ImageOps.exif_transpose(image).convert("RGB")
            opened.append(ImageOps.fit(whole, tuple(side * 3 for side in SIDES)))
    for number in range(count):
        photo = opened[number % len(opened)]
        left, top = (draw.randrange(side * 2) for side in SIDES)
        picture = photo.crop((left, top, left + SIDES[0], top + SIDES[1]))
        kind, ending = ENDINGS[number % len(ENDINGS)]
        file = io.BytesIO()
        picture.save(file, kind)
        folder = f"{('shirts', 'shoes', 'hats & caps')[number % 3]}/{number // 100:02}"
        yield f"{folder}/{number:05}.{ending}", file.getvalue()


@dataclass(frozen=True)
class Shop:
    """A running service, a key of its only tenant, and the bucket that it may read and write."""

    url: str
    key: str
    worker: Running
    store: Store
    folder: Path


@contextmanager
def shop_on_servers(
    postgres: PostgresServer, redis: RedisServer, s3: S3Server, folder: Path, **settings: Any
) -> Iterator[Shop]:
    """API, dispatcher and worker with these settings, and a bucket, during the block."""
    name, port = secrets.token_hex(4), free_port()
    store = Store(s3, f"catalogue-{name}")
    database_name = postgres.new_database()
    chosen = Settings(
        home=folder / "home",
        database_url=SecretStr(postgres.url(database_name)),
        broker_url=SecretStr(redis.new_database()),
        blobs_url=f"s3://own-{name}",
        s3_endpoint_url=s3.endpoint_url,
        s3_access_key_id=SecretStr(s3.access_key_id),
        s3_secret_access_key=SecretStr(s3.secret_access_key),
        source_buckets=(store.bucket,),
        destination_buckets=(store.bucket,),
        port=port,
        public_url=f"http://127.0.0.1:{port}",
        api_workers=1,
        device="cpu",
    ).model_copy(update=settings)
    blobs = open_blobs(chosen)
    assert isinstance(blobs, S3Blobs)
    blobs.ensure_bucket()
    database = Database.connect(chosen.sqlalchemy_url)
    _, key = create_key(database, ensure_tenant(database, "shop"), "bench")
    database.close()
    with ExitStack() as stack:
        stack.callback(store.close)
        stack.callback(postgres.drop_database, database_name)
        programs = [
            stack.enter_context(running(program, settings=chosen.environment(), log_path=folder / f"{program}.log"))
            for program in ("serve", "dispatch", "worker")
        ]
        shop = Shop(chosen.public_url, key, programs[-1], store, folder)
        with Client(shop.url, key) as client:
            until(lambda: _is_ready(client), lambda: f"no worker:\n{shop.worker.log}", within_s=300)
        yield shop


def _is_ready(client: Client) -> bool:
    try:
        return bool(client.readiness().workers)
    except ClientError:
        return False


def kill_device_process(worker: Running) -> None:
    """``kill -9`` of the process that works on pictures."""
    [machine] = children(worker.process.pid)
    [device] = children(machine)
    kill(device)


def one_call(shop: Shop, photos: Sequence[Path], count: int) -> dict[str, Any]:
    """The figures, and ``differences``: sentences, none if all is as it must be."""
    for path, data in cut_pictures(photos, count):
        shop.store.put(SOURCE + path, data)
    for path in OTHERS:
        shop.store.put(SOURCE + path, b"no picture")
    address = f"s3://{shop.store.bucket}/"
    killed_after = None

    def kill_midway(answer: JobAnswer) -> None:
        nonlocal killed_after
        if killed_after is None and count // 3 <= answer.counts.ended < count and answer.counts.running:
            kill_device_process(shop.worker)
            killed_after = answer.counts.ended

    with Client(shop.url, shop.key) as client:
        begun = time.perf_counter()
        job = client.submit_folder(
            address + SOURCE, mask=MASK, rights=RIGHTS, destination=f"{address}{DESTINATION}{{path}}", name="bucket"
        )
        accepted_s = time.perf_counter() - begun
        ended = job.wait(on_change=kill_midway).answer
        seconds = time.perf_counter() - begun
        again = sum(image.attempt > 1 for image in job.images())
        differences = list(_differences(client, ended, shop))
    if killed_after is None:
        differences.append("No process was killed: the job ended before it.")
    return {
        "pictures": count,
        "succeeded": ended.counts.succeeded,
        "other_keys_told": ended.rows_skipped,
        "accepted_s": round(accepted_s, 2),
        "seconds": round(seconds, 1),
        "killed_after": killed_after,
        "images_attempted_again": again,
        "differences": differences,
        "cores": os.cpu_count(),
    }


def _differences(client: Client, job: JobAnswer, shop: Shop) -> Iterator[str]:
    sources, results = shop.store.hashes(SOURCE), shop.store.hashes(DESTINATION)
    for other in OTHERS:
        del sources[other]
    if (job.state, job.counts.succeeded, job.rows_skipped) != ("completed", len(sources), len(OTHERS)):
        yield f"The job is {job.state}: {job.counts}, {job.rows_skipped} rows skipped."
    client.archive(job.id, shop.folder / "all.zip")
    with zipfile.ZipFile(shop.folder / "all.zip") as archive:
        lines = [json.loads(line) for line in archive.read("manifest.jsonl").decode().splitlines()]
        files = {name for name in archive.namelist() if name != "manifest.jsonl"}
    for name, listed in {
        "the destination": list(results),
        "the ZIP": list(files),
        "the manifest": [line["path"] for line in lines],
        "the list of results": [line.path for line in client.results(job.id)],
    }.items():
        if sorted(map(str, listed)) != sorted(sources):
            yield f"The paths of {name} are not those of the source."
    for line in lines:
        path = line["path"]
        told = (line["state"], line["source_sha256"], line["bytes"], line["sha256"], line["destination_url"])
        url = f"s3://{shop.store.bucket}/{DESTINATION}{path}"
        stored = ("succeeded", sources[path][1], *results.get(path, ()), url)
        if told != stored:
            yield f"{path}: the manifest says {told}, and the buckets {stored}."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("-o", "--output", type=Path, default=Path("bench/results"))
    options = parser.parse_args()
    photos = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    with ExitStack() as stack:
        servers = []
        for kind in (PostgresServer, RedisServer, S3Server):
            servers.append(start_server(kind))
            stack.callback(servers[-1].close)
        postgres, redis, s3 = servers
        postgres.make_template(migrate)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with shop_on_servers(postgres, redis, s3, folder) as shop:
            result = one_call(shop, photos[:60], options.pictures)
    text = json.dumps(result, indent=1)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "bucket.json").write_text(text + "\n")
    print(text)
    return 1 if result["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
