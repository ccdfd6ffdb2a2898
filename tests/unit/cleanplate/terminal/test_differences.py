"""How commands tell of results that differ from their sources: once for a job, with counts."""

from __future__ import annotations

from cleanplate.base.image_records import ExtensionChange, ExtensionKept, ImageRecord
from cleanplate.client.answers import ImageAnswer
from cleanplate.terminal.differences import differences


def image(record: ImageRecord) -> ImageAnswer:
    return ImageAnswer(
        id="img", job_id="job", position=0, name="a.jpg", state="succeeded", width=1, height=1, attempt=1, error=None,
        record=record, result_url=None,
    )  # fmt: skip


def test_each_kind_of_difference_is_one_sentence_with_counts() -> None:
    records = [
        ImageRecord(extension_changed=ExtensionChange.of(".jpg", ".webp")),
        ImageRecord(extension_changed=ExtensionChange.of(".jpg", ".webp"), left_out=["gain_map", "video"]),
        ImageRecord(extension_changed=ExtensionChange.of(".png", ".jpg"), left_out=["gain_map"]),
        ImageRecord(extension_kept=ExtensionKept(name=".jpg", format=".webp")),
        ImageRecord(),
    ]
    assert differences(image(record) for record in records) == [
        "3 results have another ending than the picture's name: .jpg became .webp (2), .png became .jpg (1).",
        "1 result has an ending of another format, as asked: .jpg holds .webp (1).",
        "2 results lack parts of the source: gain_map (2), video (1). The records list them (left_out).",
    ]
    assert differences([image(ImageRecord())]) == []
