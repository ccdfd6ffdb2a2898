"""``reconcile``: whether ledger and object store agree, after a restore of either."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer


def reconcile(
    requeue: Annotated[
        bool, typer.Option("--requeue", help="Queue images again whose results are gone; needs their sources.")
    ] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the files that no row names, for good.")] = False,
) -> None:
    """Compare the ledger with the object store, list the differences, and repair them on request.

    Prints a line for each difference: kind, key and owner. `unnamed`: a file that no row names, for example an upload
    after the ledger's dump. `result`, `preview`, `upload`, `template`: a row names a file that is gone. The exit
    status is 1 while a difference remains. The command may run beside the service.

    Example: `cleanplate reconcile --requeue`
    """
    from cleanplate.base.settings import load_settings
    from cleanplate.commands.keys import ledger
    from cleanplate.errors import UsageError
    from storage.blobs import open_blobs
    from storage.ledger.tenants.tenants import list_tenants
    from storage.reconciliation import Lack, missing_blobs, unnamed_blobs
    from storage.reconciliation import requeue as requeue_images

    blobs = open_blobs(load_settings())
    counts: Counter[str] = Counter()
    lost: set[str] = set()
    with ledger() as database:
        if delete and not list_tenants(database):
            raise UsageError("The ledger has no tenants: it is not the one that these files belong to.")
        for key in unnamed_blobs(database, blobs):
            counts["unnamed"] += 1
            typer.echo(f"unnamed {key}")
            if delete:
                blobs.delete(key)
        for missing in missing_blobs(database, blobs):
            counts[missing.lack] += 1
            waits = f" {missing.waiting} images wait for it" if missing.waiting else ""
            typer.echo(f"{missing.lack} {missing.key} {missing.id}{waits}")
            if missing.lack in (Lack.RESULT, Lack.PREVIEW):
                lost.add(missing.id)
        requeued = requeue_images(database, sorted(lost)) if requeue else 0
    for kind, count in counts.items():
        typer.echo(f"{kind}: {count}", err=True)
    if delete:
        typer.echo(f"{counts['unnamed']} files deleted.", err=True)
    if requeue:
        typer.echo(f"{requeued} of {len(lost)} images queued again.", err=True)
    if not counts:
        typer.echo("Ledger and object store agree.", err=True)
    mended = {"unnamed"} if delete else set()
    if requeued == len(lost):
        mended |= {Lack.RESULT, Lack.PREVIEW}
    if set(counts) - mended:
        raise typer.Exit(1)
