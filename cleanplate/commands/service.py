"""``up``, ``link``, ``serve``, ``worker``, ``dispatch``, ``migrate``: the programs of the service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cleanplate.base.settings import Settings


def up(
    port: Annotated[
        int | None, typer.Option(help="Port of the API on this machine; 0 finds a free one.", show_default="8787")
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(help="Folder for all data of the service.", show_default="~/.cleanplate"),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser, where there is a desktop.")] = True,
) -> None:
    """Run everything on this machine: the API, a worker and the dispatcher, with one folder as their only store.

    Prints a link that signs a browser in, once; `cleanplate link` prints another. The first start creates an API key
    and writes it to `HOME/api-key`, readable by you alone. A process that dies is restarted. Ctrl-C or SIGTERM stops
    all processes.

    Example: `cleanplate up --port 9000 --home ./cleanplate-home`
    """
    from cleanplate.base.weights import find
    from cleanplate.embedded import service as embedded
    from cleanplate.telemetry import logs
    from workers.machine.devices import devices
    from workers.machine.text_marks import require_text_marks

    settings = embedded.settle(home=home, port=port)
    logs.configure(settings)
    # Each fault is reported once, and not by each process that cannot start.
    require_text_marks(settings)
    find(settings)
    devices(settings)
    raise typer.Exit(embedded.run(settings, browser=browser))


def link(
    home: Annotated[
        Path | None, typer.Option(help="The folder of the running service.", show_default="~/.cleanplate")
    ] = None,
) -> None:
    """Print a link that signs a browser in at the service that `cleanplate up` runs: once, within an hour.

    Earlier links stop working.

    Example: `cleanplate link --home ./cleanplate-home`
    """
    from cleanplate.base.settings import load_settings
    from cleanplate.embedded import service as embedded

    typer.echo(embedded.create_link(load_settings(**({} if home is None else {"home": home}))))


def serve() -> None:
    """Run the HTTP API in the foreground, until SIGTERM.

    Example: `CLEANPLATE_HOST=0.0.0.0 CLEANPLATE_PORT=8080 cleanplate serve`
    """
    from api import server
    from cleanplate.base.settings import load_settings
    from cleanplate.telemetry import logs
    from workers.shared.servers import check_servers_of_api

    settings = load_settings()
    logs.configure(settings)
    check_servers_of_api(settings)
    raise typer.Exit(server.run(settings))


def worker(
    devices: Annotated[
        str | None, typer.Option(help="Only these CUDA devices or MIG slices, by number or UUID: `0,2`.")
    ] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Work on the CPU, even if there are CUDA devices.")] = False,
    queues: Annotated[str, typer.Option(help="Take work from these queues, in this order.")] = "interactive,bulk",
    status: Annotated[
        bool, typer.Option("--status", help="Show the state of this machine's workers, and end.")
    ] = False,
) -> None:
    """Run workers in the foreground: one process for each CUDA device, or one on the CPU. SIGTERM lets them finish.

    A process that dies or hangs is replaced. `--status` shows each device's state, memory, temperature and images per
    second; its exit status is 1 if no worker runs.

    Example: `cleanplate worker --devices 0,2 --queues interactive`
    """
    from cleanplate.base.settings import load_settings
    from cleanplate.telemetry import logs

    settings = load_settings(**({"device": "cpu"} if cpu else {}))
    if status:
        raise typer.Exit(_print_status(settings))
    from cleanplate.base.weights import find
    from workers.machine import supervisor
    from workers.machine.text_marks import require_text_marks
    from workers.shared.queue import QUEUES
    from workers.shared.servers import require_blobs, require_ledger, require_queue

    names = [name.strip() for name in queues.split(",")]
    if unknown := sorted(set(names) - set(QUEUES)):
        raise typer.BadParameter(f"no queue {', '.join(unknown)}; there are {', '.join(QUEUES)}", param_hint="--queues")
    if cpu and devices is not None:
        raise typer.BadParameter("say either --cpu or --devices", param_hint="--devices")
    find(settings)
    require_text_marks(settings)
    logs.configure(settings)
    for require in (require_ledger, require_blobs, require_queue):
        require(settings)
    raise typer.Exit(supervisor.run(settings, chosen=devices, queues=names))


def _print_status(settings: Settings) -> int:
    """One line for each device of the workers that share the home folder."""
    from rich.console import Console
    from rich.table import Table

    from cleanplate.base.reports import read_reports

    reports = read_reports(settings)
    if not reports:
        typer.echo("No worker of this home folder is running.", err=True)
        return 1
    table = Table(
        "host", "device", "state", "pid", "images", "images/s", "deaths", "memory MB", "device MB", "degrees C"
    )
    for report in reports:
        device = (
            "" if report.memory_total is None else f"{(report.memory_used or 0) >> 20} of {report.memory_total >> 20}"
        )
        table.add_row(
            report.host, report.device, report.state, str(report.pid or ""), str(report.images),
            f"{report.images_per_second:.2f}", str(report.deaths), str(report.resident_bytes >> 20), device,
            "" if report.temperature_c is None else str(report.temperature_c),
        )  # fmt: skip
    Console().print(table)
    for report in reports:
        if report.reason:
            typer.echo(f"{report.host} {report.device} does not work: {report.reason}")
    return 0


def dispatch() -> None:
    """Run the dispatcher, the lease reaper and webhook delivery in the foreground.

    Several may run: one leads, the others stand by and take over when it dies.

    Example: `cleanplate dispatch`
    """
    from cleanplate.base.settings import load_settings
    from cleanplate.telemetry import logs
    from workers.leader import dispatcher
    from workers.shared.servers import require_blobs, require_ledger, require_queue

    settings = load_settings()
    logs.configure(settings)
    for require in (require_ledger, require_blobs, require_queue):
        require(settings)
    raise typer.Exit(dispatcher.run(settings))


def migrate(
    revision: Annotated[
        str, typer.Option(help="Target schema revision, up or down; `base` empties the ledger.")
    ] = "head",
) -> None:
    """Migrate the ledger to the newest schema, and create the bucket of the object store if it is missing.

    It may run again, and on several machines at once. Run it before the other processes of a new version.

    Example: `CLEANPLATE_DATABASE_URL=postgresql://user:password@db/cleanplate cleanplate migrate`
    """
    from cleanplate.base.settings import load_settings
    from cleanplate.telemetry import logs
    from storage.blobs import S3Blobs, open_blobs
    from storage.migrate import migrate as migrate_ledger
    from workers.shared.servers import COMMAND_WAIT_S, require_ledger

    settings = load_settings()
    logs.configure(settings)
    require_ledger(settings, migrated=False, wait_s=COMMAND_WAIT_S)
    migrate_ledger(settings.sqlalchemy_url, revision)
    blobs = open_blobs(settings)
    if revision == "head" and isinstance(blobs, S3Blobs):
        blobs.ensure_bucket()
    typer.echo(f"The ledger is at revision {revision}.")
