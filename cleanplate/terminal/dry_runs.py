"""What a submission would be, in words: of a folder by its own files, of a bucket by the service's dry run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Unpack

from cleanplate.client.answers import DryRun, Rights
from cleanplate.client.http import Client
from cleanplate.client.requests import Terms
from cleanplate.errors import UsageError
from cleanplate.terminal.buckets import left_out_lines
from cleanplate.terminal.submission import Listed, Listing, Work, duration

_SHOWN = 5


def dry_run_lines(
    client: Client, work: Work | Listed | Listing, *, rights: Rights, **terms: Unpack[Terms]
) -> Iterator[str]:
    """Lines for a person. A mask's file for a bucket is uploaded; else nothing is sent.

    Raises:
        UsageError: the work is a manifest.
        ClientError: the service refused, or could not be reached.
    """
    match work:
        case Work():
            yield from _folder_lines(work)
        case Listing():
            yield from _bucket_lines(client.dry_run(work.url, mask=work.mask, rights=rights, **terms))
        case Listed():
            raise UsageError("--dry-run looks into a folder or a bucket. A manifest is checked when it is submitted.")


def _folder_lines(work: Work) -> Iterator[str]:
    size = sum(picture.stat().st_size for picture in work.pictures)
    yield f"{len(work.pictures)} pictures, {size / 1e6:.1f} MB, would be sent."
    if work.masks:
        (common, uses), *others = Counter(work.masks).most_common()
        yield (
            f"All have the mask {common}."
            if not others
            else f"{len(others) + 1} masks; {common.name} for {uses} of the pictures."
        )


def _bucket_lines(plan: DryRun) -> Iterator[str]:
    kinds = ", ".join(f"{count} with a mask of kind {kind}" for kind, count in plan.masks.items())
    yield f"{plan.images} pictures would be taken: {kinds}."
    yield from left_out_lines(plan.skipped, plan.rows_skipped)
    yield from (f"Result: {address}" for address in plan.destinations[:_SHOWN])
    if plan.images > _SHOWN and plan.destinations:
        yield f"Result: {plan.images - _SHOWN} more"
    if plan.marks_expected is not None:
        yield f"A mark is expected in {plan.marks_expected} of them."
    if plan.seconds is not None:
        yield f"About {duration(plan.seconds)} at the pace of your latest jobs."
    if plan.device_seconds is not None:
        yield f"About {duration(plan.device_seconds)} of device time."
    if plan.images_left_today is not None:
        yield f"{plan.images_left_today} images of today's quota are left."
