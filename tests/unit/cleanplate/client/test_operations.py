"""The client covers the API: operations, filters of lists, fields of schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from PIL import Image
from pydantic import BaseModel

from cleanplate import Client, Picture, Rights
from cleanplate.base import templates
from cleanplate.base.masks import BoxesMask
from cleanplate.base.options import ImageOptions, JobOptions
from cleanplate.base.settings import Settings
from cleanplate.client import answers
from cleanplate.client.journal import Journal
from cleanplate.client.requests import ImageFilters, JobFilters, Terms, mask_fields, terms_body
from cleanplate.errors import Refused
from tests.api_process import served
from tests.running import until
from tests.unit.cleanplate.live import Shop, on_a_port

RIGHTS = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")
#: Operations without a method of the client, with the reason.
NOT_NEEDED = {
    "GET /healthz": "asked by load balancers",
    "POST /v1/jobs/manifest": "`submit_manifest` uploads the file and names it in POST /v1/jobs",
    "GET /blobs/{token}": "a presigned link of the local store, which the answers hold",
    "PUT /blobs/{token}": "a presigned link of the local store, which the answers hold",
    "POST /blobs/{token}": "a presigned form of the local store, for browsers",
}
#: Query parameters that the client sets itself, page by page.
OF_PAGES = {"limit", "cursor"}
SCHEMAS: dict[str, type[BaseModel]] = {
    "Counts": answers.JobCounts,
    "Delivery": answers.DeliveryAnswer,
    "DeliveryAttempt": answers.DeliveryAttempt,
    "DryRun": answers.DryRun,
    "LeftOutKey": answers.LeftOutKey,
    "Device": answers.DeviceAnswer,
    "ErrorLine": answers.ErrorLine,
    "Image": answers.ImageAnswer,
    "ImageError": answers.ImageError,
    "Job": answers.JobAnswer,
    "JobLinks": answers.JobLinks,
    "Overview": answers.JobOverview,
    "Pause": answers.PauseAnswer,
    "Readiness": answers.ReadinessAnswer,
    "Reason": answers.FailureReason,
    "ResultLine": answers.ResultLine,
    "Review": templates.Review,
    "ReviewError": templates.ReviewError,
    "Reviewed": answers.Reviewed,
    "Rights": answers.Rights,
    "SkippedLine": answers.SkippedLine,
    "Template": answers.TemplateAnswer,
    "TemplateProgress": templates.TemplateProgress,
    "Usage": answers.UsageAnswer,
    "UsageDay": answers.UsageDay,
    "WebhookWithSecret": answers.WebhookAnswer,
    "Work": answers.UsageWork,
}


class Interrupted(Journal):
    """The journal of a process that dies before it notes the first part."""

    def note_part(self, upload_id: str, number: int, etag: str) -> None:
        raise KeyboardInterrupt


class Requests:
    """The requests that an ``httpx.Client`` sends, by operation of the API's description."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._paths = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path)
            # A fixed path wins over one with a parameter.
            for path in sorted(document["paths"], key=lambda path: path.count("{"))
        ]
        #: Names of query parameters by operation.
        self.sent: dict[str, set[str]] = {}

    def note(self, request: httpx.Request) -> None:
        path = next(path for pattern, path in self._paths if pattern.fullmatch(request.url.path))
        self.sent.setdefault(f"{request.method} {path}", set()).update(request.url.params.keys())


@pytest.fixture
def shop(embedded_settings: Settings) -> Iterator[Shop]:
    shop = Shop(on_a_port(embedded_settings).model_copy(update={"operator_tenants": ("shop",)}))
    yield shop
    shop.close()


def operations(document: dict[str, Any]) -> dict[str, set[str]]:
    """All operations, with the names of their query parameters."""
    return {
        f"{method.upper()} {path}": {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in {"get", "put", "post", "patch", "delete"}
    }


def test_the_client_reaches_every_operation_and_every_filter(shop: Shop, tmp_path: Path) -> None:
    pictures = [tmp_path / f"{number}.png" for number in range(6)]
    for number, picture in enumerate(pictures):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(picture)
    out = tmp_path / "out"
    with served(shop.settings, tmp_path / "log"):
        document = httpx.get(f"{shop.settings.public_url}/openapi.json", timeout=60).json()
        requests = Requests(document)
        with (
            httpx.Client(event_hooks={"request": [requests.note]}, timeout=60) as http,
            Client(shop.settings.public_url, shop.key, whole_bytes=1, http=http) as sender,
        ):
            with pytest.raises(KeyboardInterrupt):
                sender.upload(pictures[:1], journal=Interrupted(tmp_path / "journal"))
            in_parts = sender.upload(pictures[:1], journal=Journal(tmp_path / "journal"))[pictures[0]]
        with (
            httpx.Client(event_hooks={"request": [requests.note]}, timeout=60) as http,
            Client(shop.settings.public_url, shop.key, http=http) as client,
        ):
            client.view_upload(in_parts, out.with_suffix(".webp"))
            client.delete_upload(in_parts)
            use_webhooks(client)
            use_templates(client, pictures, out)
            use_jobs(shop, client, pictures, out)
            use_account(client)
            assert client.devices() == []
            assert client.readiness().workers == 0
            # The client closes only connections that it opened.
            client.close()
            assert not http.is_closed
    declared = operations(document)
    assert declared.keys() - requests.sent.keys() == NOT_NEEDED.keys() - requests.sent.keys()
    missing = {name: declared[name] - requests.sent[name] - OF_PAGES for name in requests.sent}
    assert {name: parameters for name, parameters in missing.items() if parameters} == {}


def use_account(client: Client) -> None:
    account = client.usage()
    assert account.total.images == sum(day.images for day in account.data) > 0
    assert client.usage(since=date(2020, 1, 1), until=date(2020, 1, 31)).data == []
    assert client.usage_csv(since=date(2020, 1, 1), until=date(2020, 1, 31)).startswith("day,images,megapixels,")


def use_webhooks(client: Client) -> None:
    webhook = client.webhooks.create("http://127.0.0.1:1/hook", events=["job.*"])
    assert webhook.secret is not None
    assert [one.id for one in client.webhooks.list()] == [webhook.id]
    assert client.webhooks.change(webhook.id, events=["*"], all_jobs=True, enable=True).all_jobs
    assert client.webhooks.rotate(webhook.id, keep_s=60).secret != webhook.secret
    ping = client.webhooks.ping(webhook.id)
    assert client.webhooks.delivery(webhook.id, ping.id).event_type == "ping"
    assert client.webhooks.redeliver(webhook.id, ping.id).id == ping.id
    assert list(client.webhooks.deliveries(webhook.id, state="failed", job_id="job_0", event="image.*")) == []
    assert client.webhooks.recover(webhook.id, after="evt_0") == 0
    assert client.webhooks.get(webhook.id).secret is None
    client.webhooks.delete(webhook.id)
    assert list(client.webhooks.list()) == []


def use_templates(client: Client, pictures: list[Path], out: Path) -> None:
    template = client.templates.from_mask("mask", pictures[0], anchor="bottom_right")
    assert client.templates.get(template.id).kind == "mask"
    assert client.templates.from_logo("logo", pictures[0], opacity=0.5).kind == "logo"
    assert client.templates.from_logo("logo", pictures[0], pictures[1:]).kind == "estimate"
    assert client.templates.from_mark("mark", pictures[0], pictures[1], pictures[:1]).kind == "estimate"
    assert client.templates.estimate("estimate", pictures, force=True).kind == "estimate"
    assert list(client.templates.list(state="ready", job_id="job_0")) == []
    # No worker runs, so they are not made.
    for decide in (client.templates.approve, client.templates.reject):
        with pytest.raises(Refused) as refused:
            decide(template.id)
        assert refused.value.status == httpx.codes.CONFLICT
    with pytest.raises(Refused, match="not_found"):
        preview = {"mask": f"/v1/templates/{template.id}/previews/mask"}
        client.templates.preview(template.model_copy(update={"previews": preview}), "mask", out)
    client.templates.delete(template.id)
    with pytest.raises(Refused, match="not_found"):
        client.templates.get(template.id)


def use_jobs(shop: Shop, client: Client, pictures: list[Path], out: Path) -> None:
    first, second = pictures[:2]
    own_mask = BoxesMask(boxes=[(0, 0, 0.5, 0.5)], units="relative")
    job = client.submit(
        [
            Picture(file=first, custom_id="sku-1", metadata={"row": "1"}, options={"feather_px": 1}),
            Picture(file=second, name="front.png", mask=own_mask),
        ],
        mask=second,
        rights=RIGHTS,
        options={"dilation_px": 2},
        priority="interactive",
        deadline=datetime.now(UTC) + timedelta(days=1),
        retention_days=7,
        name="Spring shirts",
        labels=["spring"],
        metadata={"season": "spring"},
    )
    assert (job.answer.options, job.answer.priority) == (JobOptions(dilation_px=2), "interactive")
    one, other = job.images(state="queued", error_code=None)
    assert (one.custom_id, one.options) == ("sku-1", ImageOptions(feather_px=1))
    assert (other.name, other.mask) == ("front.png", own_mask)
    assert client.image(one.id) == one

    assert job.pause().answer.paused
    assert not job.resume().answer.paused
    assert client.pause_all() == client.pause_state()
    assert client.pause_state().by == ["tenant"]
    assert not client.resume_all().paused

    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(client.wait, job.id)
        following = pool.submit(lambda: [answer.state for answer in client.events(job.id)])
        until(lambda: shop.jobs() == [job.id], "no job was made")
        next(client.all_events())
        shop.work(job.id, bad=1)
        assert (waiting.result(120).state, following.result(120)[-1]) == ("completed", "completed")
    assert job.refresh().counts.failed == 1
    assert [line.error.code for line in job.errors()] == ["image_truncated"]
    assert [reason.count for reason in job.overview().reasons] == [1]
    assert [image.id for image in job.images(error_code="image_truncated")] == [one.id]
    assert list(client.skipped(job.id)) == []
    client.archive(job.id, out.with_suffix(".zip"))
    assert out.with_suffix(".zip").read_bytes().startswith(b"PK")
    assert [line.image_id for line in client.results(job.id)] == [other.id]
    client.download(client.image(other.id), out)
    client.download_source(one, out)
    assert out.read_bytes() == first.read_bytes()
    # The worker of this test stores neither a preview nor a picture.
    for look in (client.preview, client.view):
        with pytest.raises(Refused):
            look(other.id, out)

    assert client.review(other.id, "rejected", note="Smeared.").review_note == "Smeared."
    assert client.review_images(job.id, [one.id], "kept") == 1
    assert [image.id for image in job.images(review="rejected", order="doubt")] == [other.id]
    assert [image.id for image in client.find_images(review="kept")] == [one.id]
    child = client.redo(job.id, mask=second, options={"label": True}, name="again", retention_days=1)
    assert (child.answer.parent_job_id, child.answer.replaces, child.total) == (job.id, True, 1)
    shop.work(child.id)
    assert [line.replaced_by is not None for line in client.results(job.id)] == [True]
    with pytest.raises(Refused):
        client.redo(job.id, error_code="none", replace=False)
    child.delete()
    assert job.retry().counts.failed == 0
    assert job.cancel().state == "canceled"
    filters = JobFilters(
        kind="any",
        labels=["spring"],
        metadata={"season": "spring"},
        created_after=datetime.now(UTC) - timedelta(days=1),
        created_before=datetime.now(UTC) + timedelta(days=1),
        key_id=job.answer.key_id,
        webhook_id=None,
        words="shirts",
    )
    assert [known.id for known in client.jobs(state="canceled", order="oldest", **filters)] == [job.id]
    assert list(client.jobs(webhook_id="whe_0")) == []
    of_image = ImageFilters(state="canceled", custom_id="sku-1", metadata={"row": "1"}, words="0", review="kept")
    assert [image.id for image in job.images(**of_image)] == [one.id]
    assert [image.id for image in client.find_images(job=filters, **of_image)] == [one.id]
    assert list(client.find_images(sha256="0" * 64, job={"webhook_id": "whe_0"}, error_code="none")) == []
    assert job.describe(name="renamed", labels=[], metadata={}).answer.name == "renamed"
    with pytest.raises(Refused):
        job.approve(["tpl_0"])
    job.delete()
    assert list(client.jobs()) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_answer_has_every_field_and_every_word_of_its_schema(name: str, document: dict[str, Any]) -> None:
    schema, fields = document["components"]["schemas"][name]["properties"], SCHEMAS[name].model_fields
    assert schema.keys() == fields.keys() - ({"secret"} - schema.keys())
    for field, property_schema in schema.items():
        words = set(words_of(property_schema, document))
        if words:
            assert words <= set(literals(fields[field].annotation)), field


@pytest.mark.parametrize("name", ["NewJob", "NewImage"])
def test_a_submission_can_state_every_field_of_its_schema(name: str, document: dict[str, Any]) -> None:
    file, mask = Path("a.png"), Path("mask.png")
    uploads = {file: "upl_1", mask: "upl_2"}
    terms = Terms(
        options={},
        webhook_id="whk_1",
        webhook_ids=["whk_2"],
        webhook={"url": "https://shop.example/hook", "secret": "whsec_1"},
        mail={"to": "photos@shop.example"},
        priority="bulk",
        deadline=datetime.now(UTC),
        retention_days=1,
        name="spring",
        labels=["spring"],
        metadata={"season": "spring"},
        kind="catalogue",
        destination="s3://catalogue/clean/",
    )
    stated = (
        {
            "NewJob": {"images", "manifest", "folder", "source", "dry_run", "only_new", *terms_body(RIGHTS, terms)},
            "NewImage": {
                *Picture(
                    file=file, name="b.png", path="a/b.png", custom_id="c", metadata={}, options={"label": True}
                ).body(uploads),
                *Picture(url="https://shop.example/a.png").body(uploads),
            },
        }[name]
        | mask_fields(mask, uploads).keys()
        | mask_fields({"template": "tpl_1"}, uploads).keys()
    )
    assert stated == document["components"]["schemas"][name]["properties"].keys()


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The API's description."""
    from api.app import create_app

    app = create_app(Settings(home=tmp_path_factory.mktemp("home")))
    described: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return described


def words_of(schema: Any, document: dict[str, Any]) -> Iterator[str]:
    """The words that a schema's value may be, wherever they are declared."""
    if "$ref" in schema:
        target = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        yield from target.get("enum", [])
    yield from schema.get("enum", [])
    for inner in [*schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]:
        yield from words_of(inner, document)


def literals(annotation: Any) -> Iterator[str]:
    """The words of all Literals in an annotation."""
    for inner in get_args(annotation):
        if isinstance(inner, str):
            yield inner
        else:
            yield from literals(inner)
