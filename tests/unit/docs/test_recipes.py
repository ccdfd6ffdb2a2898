"""The programs of README and recipes, run as they stand: against a live service, or with posts that it would send."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import httpx
import pytest
from flask import Flask
from standardwebhooks import Webhook

from cleanplate.base.settings import Settings
from tests import patient
from tests.api_process import served
from tests.running import REPOSITORY, clean_environment, cleanplate, until
from tests.servers import S3Server, free_port
from tests.unit.cleanplate.live import Shop, on_a_port, pictures

RECIPES = (REPOSITORY / "docs" / "recipes.md").read_text()
README = (REPOSITORY / "README.md").read_text()
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def recipe(title: str) -> str:
    """The program under this heading."""
    (program,) = re.findall(rf"^#+ {title}$.*?^```\w+\n(.*?)^```", RECIPES, re.DOTALL | re.MULTILINE)[:1]
    return str(program)


def run(program: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a Python program in ``folder``; its output."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=clean_environment({"PYTHONPATH": str(REPOSITORY), **environment}),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def done_by_the_shop(shop: Shop, program: str, folder: Path, environment: dict[str, str]) -> str:
    """Run the program while the shop's worker ends its job; the program's output."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, program, folder, environment)
        until(lambda: shop.jobs() or running.done(), "no job was made")
        if not running.done():
            shop.work(*shop.jobs())
        return running.result()


@contextmanager
def serving(settings: Settings, folder: Path) -> Iterator[tuple[Shop, dict[str, str]]]:
    shop = Shop(on_a_port(settings))
    try:
        with served(shop.settings, folder / "log"):
            yield shop, {"CLEANPLATE_URL": shop.settings.public_url, "CLEANPLATE_API_KEY": shop.key}
    finally:
        shop.close()


def test_the_readmes_program_cleans_a_folder(embedded_settings: Settings, tmp_path: Path) -> None:
    (program,) = re.findall(r"From Python:\n\n```python\n(.*?)```", README, re.DOTALL)
    pictures(tmp_path / "catalogue", "a.jpg", "b.jpg")
    pictures(tmp_path, "logo-mask.png")
    with serving(embedded_settings, tmp_path) as (shop, _):
        home = tmp_path / ".cleanplate"
        home.mkdir()
        (home / "api-key").write_text(shop.key)
        program = program.replace("http://127.0.0.1:8787", shop.settings.public_url)
        done_by_the_shop(shop, program, tmp_path, {"HOME": str(tmp_path)})
    assert sorted(path.name for path in (tmp_path / "clean").iterdir()) == ["a.png", "b.png"]


def test_a_shopify_export_becomes_a_job(embedded_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "products_export.csv").write_text(
        "\ufeffHandle,Title,Image Src,Image Position\n"
        'shirt,"Shirt, blue",https://cdn.shop.example/shirt-1.png,1\n'
        "shirt,,https://cdn.shop.example/shirt-2.png,2\n"
        "shirt,,https://cdn.shop.example/shirt-2.png,2\n"
        "hat,Hat,,\n"
    )
    with serving(embedded_settings, tmp_path) as (shop, environment):
        output = done_by_the_shop(shop, recipe("A Shopify export"), tmp_path, environment)
    lines = [line.split() for line in output.splitlines()]
    assert [line[0] for line in lines] == ["shirt-1", "shirt-2"]
    assert all((tmp_path / line[1]).is_file() for line in lines)


def test_a_folder_of_s3_is_cleaned_into_another(server_settings: Settings, s3_server: S3Server, tmp_path: Path) -> None:
    source, target = (f"{name}-{secrets.token_hex(4)}" for name in ("catalogue", "clean"))
    credentials = {
        "aws_access_key_id": s3_server.access_key_id,
        "aws_secret_access_key": s3_server.secret_access_key,
    }
    store = boto3.client("s3", endpoint_url=s3_server.endpoint_url, region_name="us-east-1", **credentials)
    for bucket in (source, target):
        store.create_bucket(Bucket=bucket)
    for name in ("a.jpg", "shoes/b.jpg"):
        store.put_object(Bucket=source, Key=f"spring/{name}", Body=b"a picture")
    pictures(tmp_path, "mask.png")
    program = recipe("From one S3 folder to another").replace("s3://catalogue", f"s3://{source}")
    program = program.replace('"clean"', f'"{target}"')
    settings = server_settings.model_copy(update={"source_buckets": (source,)})
    with serving(settings, tmp_path) as (shop, environment):
        environment |= {name.upper(): value for name, value in credentials.items()}
        environment |= {"AWS_ENDPOINT_URL": s3_server.endpoint_url, "AWS_DEFAULT_REGION": "us-east-1"}
        done_by_the_shop(shop, program, tmp_path, environment)
    stored = store.list_objects_v2(Bucket=target)["Contents"]
    assert sorted(entry["Key"] for entry in stored) == ["spring/a.jpg", "spring/shoes/b.jpg"]
    store.close()


def posts() -> list[tuple[dict[str, str], bytes, bool]]:
    """Headers, body, and whether a receiver must take it."""
    now = datetime.now(UTC)
    body = json.dumps(
        {"type": "job.completed", "sequence": 2, "data": {"id": "job_1", "counts": {}, "name": "h\u00fct"}},
        ensure_ascii=False,
    )

    def headers(at: datetime, *keys: str) -> dict[str, str]:
        return {
            "webhook-id": "evt_1",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(Webhook(key).sign("evt_1", at, body) for key in keys),
        }

    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    good = headers(now, SECRET)
    return [
        (good, body.encode(), True),
        (headers(now, other, SECRET), body.encode(), True),
        (good, body.encode() + b" ", False),
        (good, body.replace("job_1", "job_2").encode(), False),
        ({**good, "webhook-id": "evt_2"}, body.encode(), False),
        (headers(now, other), body.encode(), False),
        (headers(now - timedelta(minutes=10), SECRET), body.encode(), False),
        ({**good, "webhook-timestamp": "now"}, body.encode(), False),
        ({**good, "webhook-signature": "v1,"}, body.encode(), False),
        ({**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v2,")}, body.encode(), False),
        ({"webhook-id": "evt_1"}, body.encode(), False),
    ]


def test_a_bucket_is_cleaned_in_one_call_and_its_events_begin_jobs(server_settings: Settings, tmp_path: Path) -> None:
    bucket = server_settings.blobs_url.removeprefix("s3://") + "-catalogue"
    s3 = boto3.client(
        "s3",
        endpoint_url=server_settings.s3_endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=server_settings.s3_access_key_id.get_secret_value(),
        aws_secret_access_key=server_settings.s3_secret_access_key.get_secret_value(),
    )
    s3.create_bucket(Bucket=bucket)
    for key in ("spring/w/s/front.png", "spring/list.csv"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"picture")
    settings = server_settings.model_copy(update={"source_buckets": (bucket,), "destination_buckets": (bucket,)})
    places = {"SOURCE": f"s3://{bucket}/spring/", "DESTINATION": f"s3://{bucket}/clean/"}
    with serving(settings, tmp_path) as (shop, environment):
        program = recipe("A whole bucket in one call")
        output = done_by_the_shop(shop, program, tmp_path, {**environment, **places})
        assert output.startswith("1 pictures, 1 keys left out")
        entry = {"bucket": {"name": bucket}, "object": {"key": "spring/w/s/front.png", "eTag": "0123"}}
        call = f"print(handler({{'Records': [{{'s3': {entry!r}}}]}}, None))"
        program = f"{recipe('A bucket.s event begins a job')}\n{call}"
        made = [run(program, tmp_path, {**environment, **places}) for _ in range(2)]
        assert made[0] == made[1]
        assert len(shop.jobs()) == 2
        body = recipe("n8n").replace("s3://catalogue/", f"s3://{bucket}/").replace("n8n.example", "127.0.0.1")
        headers = {
            "Authorization": f"Bearer {shop.key}",
            "Content-Type": "application/json",
            "Idempotency-Key": "n8n-7",
        }
        url = f"{shop.settings.public_url}/v1/jobs"
        answers = [patient.post(url, content=body, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert (answers[0].json()["id"], answers[0].json()["total"]) == (answers[1].json()["id"], 1)


def test_a_magento_folder_is_synced_every_night(embedded_settings: Settings, tmp_path: Path) -> None:
    """The line of cron as it stands, and again a night later."""
    folder = tmp_path / "pub" / "media" / "catalog" / "product"
    pictures(folder / "w" / "s", "ws01-black_main_1.jpg", "thumb.png")
    pictures(tmp_path, "logo-mask.png")
    program, *words = shlex.split(recipe("Every night, what is new").replace("\\\n", " "))
    assert program == "cleanplate"
    with serving(embedded_settings, tmp_path) as (shop, environment), ThreadPoolExecutor(1) as pool:

        def night() -> str:
            done = cleanplate(*words, settings=environment, folder=tmp_path)
            assert done.returncode == 0, done.stderr
            return done.stdout

        first = pool.submit(night)
        until(lambda: shop.jobs() or first.done(), "no job was made")
        if not first.done():
            shop.work(*shop.jobs())
        assert first.result().startswith("1 pictures are clean, 0 were done before")
        assert night().startswith("0 pictures are clean, 1 were done before")
        assert len(shop.jobs()) == 1
    cleaned = [path.relative_to(tmp_path / "clean").as_posix() for path in (tmp_path / "clean").rglob("*.*g")]
    assert cleaned == ["catalog/product/w/s/ws01-black_main_1.png"]


def test_a_generated_client_runs_the_quick_start(embedded_settings: Settings, tmp_path: Path) -> None:
    programs = Path(sys.prefix) / "generator" / "bin"
    generator = programs / "openapi-python-client"
    assert generator.exists(), "`make test` installs the generator, into an environment of its own"
    pictures(tmp_path, "shirt.png", "mask.png")
    (tmp_path / "generator.yml").write_text(recipe("A client made by a generator"))
    (tmp_path / "quick_start.py").write_text(recipe("The quick start with it"))
    (command,) = re.findall(r"^openapi-python-client (generate .*)$", RECIPES, re.MULTILINE)

    def call(*words: str | Path, **settings: str) -> None:
        done = subprocess.run(
            words,
            cwd=tmp_path,
            env=clean_environment(settings),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    with serving(embedded_settings, tmp_path) as (shop, environment), ThreadPoolExecutor(1) as pool:
        document = patient.get(f"{shop.settings.public_url}/openapi.json").text
        (tmp_path / "openapi.json").write_text(document)
        call(generator, *command.split())
        running = pool.submit(call, programs / "python", "quick_start.py", **environment)
        until(lambda: shop.jobs() or running.done(), "no job was made")
        if not running.done():
            shop.work(*shop.jobs())
        running.result()
    assert (tmp_path / "clean-shirt.png").read_bytes().startswith(b"SHIRT.PNG")


def test_the_receiver_in_flask_takes_what_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    space: dict[str, object] = {"__name__": "receiver"}
    exec(compile(recipe("Flask"), "recipes.md", "exec"), space)
    app = space["app"]
    assert isinstance(app, Flask)
    for headers, body, good in posts():
        answer = app.test_client().post("/hooks/cleanplate", data=body, headers=headers)
        assert answer.status_code == (204 if good else 400), headers


@pytest.mark.parametrize(
    ("title", "file", "command"),
    [
        ("Node", "hook.js", ["node", "hook.js"]),
        ("PHP", "hook.php", ["php", "-S", "127.0.0.1:{port}", "hook.php"]),
    ],
)
def test_the_receivers_in_other_languages_take_what_is_signed(
    title: str, file: str, command: list[str], tmp_path: Path
) -> None:
    assert shutil.which(command[0]), f"{command[0]} runs the recipe: `make test` installs it where it may"
    (tmp_path / file).write_text(recipe(title))
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [word.format(port=port) for word in command],
            cwd=tmp_path,
            env={**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port)},
            stdout=log,
            stderr=log,
        )
    try:
        with patient.client(base_url=f"http://127.0.0.1:{port}") as http:

            def answers() -> bool:
                assert process.poll() is None, (tmp_path / "log").read_text()
                try:
                    return http.post("/").status_code == 400
                except httpx.TransportError:
                    return False

            until(answers, lambda: f"no answer: {(tmp_path / 'log').read_text()}")
            for headers, body, good in posts():
                answer = http.post("/hooks/cleanplate", content=body, headers=headers)
                assert answer.status_code == (204 if good else 400), headers
    finally:
        process.kill()
        process.wait()
