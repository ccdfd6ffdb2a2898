"""Examples of every answer for the API's description, all of one small job of a shop."""

from __future__ import annotations

import json

from api.example_ids import DELIVERY_ID, IMAGE_ID, JOB_ID, KEY_ID, MASK_ID, TEMPLATE_ID, UPLOAD_ID, WEBHOOK_ID
from api.problem_kinds import type_of
from cleanplate.base.documents import JsonObject

_JOB_BODY: JsonObject = {
    "id": JOB_ID,
    "state": "running",
    "kind": "catalogue",
    "name": "Spring catalogue, shirts",
    "labels": ["spring", "shirts"],
    "metadata": {"season": "2026-spring"},
    "key_id": KEY_ID,
    "parent_job_id": None,
    "replaces": False,
    "total": 4,
    "counts": {"queued": 2, "running": 1, "succeeded": 1, "skipped": 0, "failed": 0, "canceled": 0},
    "progress": 0.25,
    "tiles_done": 3,
    "images_per_second": 0.5,
    "eta_s": 6.0,
    "queue_position": None,
    "destination": {"url": "s3://catalogue/clean/{path}"},
    "options": {"dilation_px": 4},
    "mask": {"upload_id": MASK_ID, "anchor": "bottom_right"},
    "review": None,
    "rows_skipped": 1,
    "rights": {
        "basis": "owner",
        "attested_by": "Jo Doe, Doe Shirts Ltd",
        "reference": "own photographs, spring catalogue",
    },
    "webhook_id": None,
    "webhook_ids": [WEBHOOK_ID],
    "mail": {"to": "photos@shop.example", "language": "en", "state": "idle"},
    "priority": "bulk",
    "deadline": None,
    "paused": False,
    "created_at": "2026-05-01T12:00:00Z",
    "started_at": "2026-05-01T12:00:01Z",
    "finished_at": None,
    "expires_at": None,
    "links": {
        "self": f"/v1/jobs/{JOB_ID}",
        "images": f"/v1/jobs/{JOB_ID}/images",
        "results": f"/v1/jobs/{JOB_ID}/results",
        "errors": f"/v1/jobs/{JOB_ID}/errors",
        "skipped": f"/v1/jobs/{JOB_ID}/skipped",
        "archive": f"/v1/jobs/{JOB_ID}/archive",
    },
}
_IMAGE_BODY: JsonObject = {
    "id": IMAGE_ID,
    "job_id": JOB_ID,
    "position": 0,
    "name": "shirt-01.jpg",
    "path": "shirts/front/shirt-01.jpg",
    "custom_id": "sku-4711-front",
    "metadata": {"colour": "teal"},
    "review": "unseen",
    "review_note": None,
    "redo_of": None,
    "replaced_by": None,
    "source_url": None,
    "mask": None,
    "options": {"output": "png"},
    "state": "succeeded",
    "width": 1200,
    "height": 1600,
    "tiles_done": 3,
    "tiles_total": 3,
    "attempt": 1,
    "error": None,
    "record": {"method": "inpainting", "device": "cuda:0", "seconds": {"network": 0.012}},
    "result_url": f"/v1/images/{IMAGE_ID}/result",
    "destination_url": "s3://catalogue/clean/shirts/front/shirt-01.jpg",
    "preview_url": f"/v1/images/{IMAGE_ID}/preview",
    "created_at": "2026-05-01T12:00:00Z",
    "started_at": "2026-05-01T12:00:01Z",
    "finished_at": "2026-05-01T12:00:03Z",
}
_WEBHOOK_BODY: JsonObject = {
    "id": WEBHOOK_ID,
    "url": "https://shop.example/hooks/cleanplate",
    "events": ["job.*", "image.failed"],
    "all_jobs": False,
    "job_id": None,
    "created_at": "2026-05-01T11:00:00Z",
    "previous_secret_expires_at": None,
    "failing_since": None,
    "disabled_at": None,
    "disabled_reason": None,
}

_DELIVERY_BODY: JsonObject = {
    "id": DELIVERY_ID,
    "webhook_id": WEBHOOK_ID,
    "job_id": JOB_ID,
    "event_type": "job.canceled",
    "sequence": 3,
    "payload": {
        "type": "job.canceled",
        "timestamp": "2026-05-01T12:00:09+00:00",
        "data": {"id": JOB_ID, "state": "canceled", "total": 4, "counts": {"succeeded": 1, "canceled": 3}},
        "sequence": 3,
    },
    "state": "delivered",
    "created_at": "2026-05-01T12:00:09Z",
    "next_attempt_at": None,
    "delivered_at": "2026-05-01T12:00:10Z",
    "log": [
        {
            "attempt": 1,
            "at": "2026-05-01T12:00:10Z",
            "status": 204,
            "error": None,
            "excerpt": None,
            "seconds": 0.08,
        }
    ],
}
_PARTS: list[JsonObject] = [
    {
        "number": number,
        "size": size,
        "url": f"https://store.example/pictures/wall?partNumber={number}&signature=…",
        "headers": {"Content-Length": str(size)},
        "expires_at": "2026-05-01T13:00:00Z",
    }
    for number, size in ((1, 8_388_608), (2, 4_194_304))
]

_TEMPLATE_BODY: JsonObject = {
    "id": TEMPLATE_ID,
    "name": "spring",
    "version": 1,
    "kind": "estimate",
    "state": "needs_review",
    "progress": None,
    "attempt": 1,
    "error": None,
    "warnings": [],
    "cautions": [],
    "confidence": 0.93,
    "samples": 50,
    "quality": {"samples": 50, "informative": 47.0, "opacity": 0.41, "ghost": 0.03},
    "place": {
        "anchor": "bottom-right",
        "scale": "pixels",
        "down": -84.0,
        "across": -204.0,
        "reference_width": 1600,
        "width": 180,
        "height": 60,
    },
    "previews": {"mask": f"/v1/templates/{TEMPLATE_ID}/previews/mask"},
    "source_job_id": JOB_ID,
    "found_with": None,
    "webhook_id": None,
    "created_at": "2026-05-01T12:00:00Z",
    "finished_at": "2026-05-01T12:00:40Z",
    "reviewed_at": None,
}

#: Keyed by the name of the answer's schema.
EXAMPLES: JsonObject = {
    "Uploads": {
        "uploads": [
            {
                "id": UPLOAD_ID,
                "filename": "shirt-01.jpg",
                "method": "PUT",
                "url": "https://store.example/pictures/shirt?signature=…",
                "headers": {"Content-Type": "image/jpeg"},
                "fields": {},
                "parts": [],
                "expires_at": "2026-05-01T13:00:00Z",
            },
            {
                "id": "upl_019aab5c2f707a10b3c4d5e6f7081920",
                "filename": "wall.tif",
                "method": "PUT",
                "url": None,
                "headers": {},
                "fields": {},
                "parts": _PARTS,
                "expires_at": "2026-05-01T13:00:00Z",
            },
        ]
    },
    "UploadParts": {"parts": _PARTS},
    "StoredUpload": {
        "id": "upl_019aab5c2f707a10b3c4d5e6f7081920",
        "filename": "wall.tif",
        "content_type": "image/tiff",
        "size": 12_582_912,
        "expires_at": "2026-05-02T12:00:00Z",
    },
    "Job": _JOB_BODY,
    "JobEvent": {"id": "0b6cf1d1a0b8d9e5b5a1c3f2e4d60718", "event": "progress", "data": json.dumps(_JOB_BODY)},
    "JobPage": {"data": [_JOB_BODY], "next_cursor": None},
    "Image": _IMAGE_BODY,
    "ImagePage": {"data": [_IMAGE_BODY], "next_cursor": "aW1hZ2U6MA"},
    "Usage": {
        "since": "2026-05-01",
        "until": "2026-05-31",
        "data": [
            {"day": "2026-05-01", "images": 4200, "megapixels": 8064.0, "bytes": 1260000000, "device_seconds": 2100.5}
        ],
        "total": {"images": 4200, "megapixels": 8064.0, "bytes": 1260000000, "device_seconds": 2100.5},
    },
    "Devices": {
        "data": [
            {
                "host": "gpu-03",
                "device": "cuda0",
                "state": "working",
                "reason": None,
                "deaths": 0,
                "images": 48_210,
                "images_per_second": 21.5,
                "resident_bytes": 2_147_483_648,
                "memory_used": 18_253_611_008,
                "memory_total": 150_323_855_360,
                "temperature_c": 61,
                "told_at": "2026-05-01T12:00:04Z",
            }
        ]
    },
    "DryRun": {
        "images": 1990,
        "rows_skipped": 1,
        "skipped": [
            {"code": "not_a_picture", "detail": "s3://catalogue/spring/list.csv: It is not a picture by its name."}
        ],
        "masks": {"boxes": 1990},
        "marks_expected": 1990,
        "destinations": ["s3://catalogue/clean/shirts/front/01.jpg"],
        "images_per_second": 4.5,
        "seconds": 442.2,
        "device_seconds": 31.8,
        "images_left_today": 48_010,
    },
    "Overview": {
        "reasons": [{"code": "image_truncated", "count": 1, "detail": "The file ends early: send it again."}],
        "stages": {"fetch": 0.08, "decode": 0.03, "network": 0.012, "encode": 0.05, "store": 0.06},
    },
    "ResultLine": {
        "custom_id": "sku-4711-front",
        "metadata": {"colour": "teal"},
        "name": "shirt-01.jpg",
        "path": "shirts/front/shirt-01.jpg",
        "image_id": IMAGE_ID,
        "position": 0,
        "state": "succeeded",
        "review": "kept",
        "replaced_by": None,
        "content_type": "image/jpeg",
        "width": 1200,
        "height": 1600,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "bytes": 184_320,
        "file_name": "shirt-01.jpg",
        "result_url": f"/v1/images/{IMAGE_ID}/result",
        "destination_url": None,
    },
    "ErrorLine": {
        "custom_id": "sku-4712-front",
        "metadata": {},
        "name": "shirt-02.jpg",
        "path": None,
        "image_id": "img_019aab5d10447d3fa0c1b2d3e4f5a698",
        "position": 1,
        "error": {"code": "image_truncated", "detail": "The file ends early: send it again."},
    },
    "SkippedLine": {
        "custom_id": "sku-4713-front",
        "line": 4,
        "code": "url_not_allowed",
        "detail": "url: The address must begin with https://.",
    },
    "WebhookWithSecret": {**_WEBHOOK_BODY, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw4vB0iJ0nQ2s="},
    "WebhookPage": {"data": [_WEBHOOK_BODY], "next_cursor": None},
    "Template": _TEMPLATE_BODY,
    "TemplatePage": {"data": [_TEMPLATE_BODY], "next_cursor": None},
    "Pause": {"paused": True, "by": ["tenant"]},
    "Webhook": _WEBHOOK_BODY,
    "Reviewed": {"changed": 12},
    "Recovered": {"queued": 120, "more": False},
    "Delivery": _DELIVERY_BODY,
    "DeliveryPage": {"data": [_DELIVERY_BODY], "next_cursor": None},
    "Health": {"status": "ok"},
    "Readiness": {"status": "ok", "workers": 2, "starting": 0, "reason": None},
}


def problem(code: str, status: int, title: str, url: str) -> JsonObject:
    """An example of a problem's body; ``url`` is the service's."""
    return {
        "type": type_of(code, url),
        "title": title,
        "status": status,
        "detail": "What happened, and what to do about it.",
        "instance": "/v1/jobs",
        "code": code,
        "request_id": "req_019aab5d20317f0cb1a2c3d4e5f60718",
    }
