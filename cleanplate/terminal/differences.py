"""Sentences about results that differ from their sources in name or in contents, each once for a whole job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cleanplate.client.answers import ImageAnswer


def differences(images: Iterable[ImageAnswer]) -> list[str]:
    """What the records of a job's images say of names whose ending changed or was kept, and of parts left out."""
    renamed, kept, parts = Counter[str](), Counter[str](), Counter[str]()
    incomplete = 0
    for image in images:
        record = image.record
        if (change := record.extension_changed) is not None:
            renamed[f"{change.source} became {change.to}"] += 1
        if (ending := record.extension_kept) is not None:
            kept[f"{ending.name} holds {ending.format}"] += 1
        if record.left_out:
            incomplete += 1
            parts.update(record.left_out)
    sentences = []
    if renamed:
        sentences.append(f"{_results(renamed.total())} another ending than the picture's name: {_listed(renamed)}.")
    if kept:
        sentences.append(f"{_results(kept.total())} an ending of another format, as asked: {_listed(kept)}.")
    if parts:
        lacking = "1 result lacks" if incomplete == 1 else f"{incomplete} results lack"
        sentences.append(f"{lacking} parts of the source: {_listed(parts)}. The records list them (left_out).")
    return sentences


def _results(count: int) -> str:
    return "1 result has" if count == 1 else f"{count} results have"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{what} ({count})" for what, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))
