"""``cleanplate up``: the whole service in one folder, its processes started, watched and stopped together.

The folder (home) belongs to one ``up`` at a time. It holds the ledger, the pictures, the queue, the key, the address.
A browser signs in by a one-time link that ``up`` and ``cleanplate link`` print: no request has rights for coming from
this machine, because a reverse proxy makes every request look local.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import structlog
from filelock import FileLock, Timeout

from cleanplate.base.files import make_home_folder, replacing
from cleanplate.base.home import address_path, key_path, link_path
from cleanplate.base.loopback import local_url
from cleanplate.base.processes import Child, Family, python_command
from cleanplate.base.reports import DeviceReport, read_reports
from cleanplate.base.settings import Settings, load_settings
from cleanplate.errors import HomeInUse, HomeOpen, NotReady, PortInUse, ProgramFailed, UsageError

log = structlog.get_logger(__name__)

PROGRAMS = ("serve", "dispatch", "worker")
TENANT = "local"
#: Includes the worker's start, which reads PyTorch and the weights from a cold disk.
READY_WITHIN_S = 300.0
#: Longer than a worker takes to return unstarted images and to finish the others.
STOP_WITHIN_S = 75.0
WATCH_EVERY_S = 0.25
LINK_LIFETIME_S = 3600
#: Exit status of a command that has printed its error as one line.
_EXPECTED_ERROR = 2
#: The browser opens this file and not the link, because other users of the machine see a command's arguments.
_LINK_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Cleanplate</title>
<meta http-equiv="refresh" content="0; url={link}">
<p><a href="{link}">Sign in to Cleanplate</a></p>
"""


def settle(*, home: Path | None, port: int | None) -> Settings:
    """The settings of an ``up``: paths absolute, a free port if it is 0, links to that port.

    Raises:
        PortInUse: something listens there.
        InvalidSettings: a variable is wrong.
    """
    options = {name: value for name, value in (("home", home), ("port", port)) if value is not None}
    settings = load_settings(**options)
    settings = settings.model_copy(
        update={"home": settings.home.expanduser().absolute(), "port": free_port(settings.host, settings.port)}
    )
    if "public_url" not in settings.model_fields_set:
        settings = settings.model_copy(update={"public_url": local_url(settings.host, settings.port)})
    return settings


def run(settings: Settings, *, browser: bool = False) -> int:
    """Run the service until SIGTERM or SIGINT; a second signal stops it at once. Returns the exit status.

    ``browser``: open the page once it is ready, where somebody sits at a terminal with a desktop.

    Raises:
        FolderUnusable, HomeInUse, HomeOpen: the home folder cannot be used.
        ServerRefuses: the ledger, the blob store or the queue cannot be used.
        ProgramFailed, NotReady: the service did not start; all its processes are stopped again.
    """
    signals: list[int] = []
    stop_asked = threading.Event()

    def note(number: int, _frame: object) -> None:
        signals.append(number)
        stop_asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)

    with _own(settings.home):
        address_path(settings.home).unlink(missing_ok=True)  # of a service that was killed
        settings = settings.model_copy(update={"operator_tenants": tuple({*settings.operator_tenants, TENANT})})
        _prepare(settings)
        family = Family(os.environ | settings.environment())

        began_at = time.time()

        def go_on() -> bool:
            family.tend()
            require_start(family.children, [report for report in read_reports(settings) if report.told_at >= began_at])
            return not stop_asked.is_set()

        try:
            for program in PROGRAMS:
                family.start(program, python_command("cleanplate", program))
            if wait_until_ready(local_url(settings.host, settings.port), go_on=go_on):
                _announce(settings)
                if browser and _has_desktop():
                    webbrowser.open(link_path(settings.home).as_uri())
            if not stop_asked.is_set():
                _watch(family, settings, stop_asked)
        finally:
            for path in (address_path(settings.home), link_path(settings.home)):
                path.unlink(missing_ok=True)
            log.info("up.stopping")
            family.stop(STOP_WITHIN_S, hurry=lambda: len(signals) > 1)
    return 0


def _watch(family: Family, settings: Settings, stop_asked: threading.Event) -> None:
    """Restart programs that die until ``stop_asked``, and report them to the ledger and the home folder meanwhile."""
    from storage.database import Database
    from workers.machine.reporting import DeviceReporter, make_report_folder

    folder = make_report_folder(settings)
    try:
        with (
            closing(Database.connect(settings.sqlalchemy_url)) as database,
            DeviceReporter(folder, database, folder.name) as reporter,
        ):
            while not stop_asked.wait(WATCH_EVERY_S):
                family.tend()
                reporter.report_if_due(lambda: program_reports(family.failing()))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def program_reports(programs: Sequence[Child]) -> list[DeviceReport]:
    """The reports of programs that do not run: the job's page, ``/readyz`` and ``worker --status`` show them."""
    return [
        DeviceReport(
            device=program.name,
            host=socket.gethostname(),
            state="crash_loop" if program.in_crash_loop else "waiting",
            reason=(
                f"{program.name}_down: The program {program.name} has ended {program.deaths} times, last with the "
                f"status {program.last_status}. The output of `cleanplate up` has its error; `cleanplate doctor` "
                "checks what it needs."
            ),
            deaths=program.deaths,
            told_at=time.time(),
        )
        for program in programs
    ]


@contextmanager
def _own(home: Path) -> Iterator[None]:
    make_home_folder(home)
    if home.stat().st_mode & 0o077:
        if any(home.iterdir()) and not (home / "ledger.sqlite3").exists():
            raise HomeOpen(home)
        home.chmod(0o700)
    try:
        with FileLock(home / "up.lock", timeout=0):
            yield
    except Timeout:
        raise HomeInUse(home) from None


def _prepare(settings: Settings) -> None:
    """Bring the ledger to its newest schema, and make the tenant and its key where they are missing."""
    from storage.database import Database
    from storage.ledger.tenants.tenants import create_key, ensure_tenant, identify
    from storage.migrate import migrate
    from workers.shared.servers import COMMAND_WAIT_S, require_blobs, require_ledger, require_queue

    require_ledger(settings, migrated=False, wait_s=COMMAND_WAIT_S)
    require_blobs(settings, wait_s=COMMAND_WAIT_S)
    require_queue(settings, wait_s=COMMAND_WAIT_S)
    migrate(settings.sqlalchemy_url)
    database = Database.connect(settings.sqlalchemy_url)
    try:
        tenant = ensure_tenant(database, TENANT)
        path = key_path(settings.home)
        caller = identify(database, path.read_text().strip()) if path.exists() else None
        if caller is not None and caller.tenant_id == tenant:
            return
        _, secret = create_key(database, tenant, "up")
        with replacing(path, mode=0o600) as file:
            file.write(f"{secret}\n".encode())
    finally:
        database.close()


def create_link(settings: Settings) -> str:
    """A link that signs a browser in once, within an hour, at the service that runs in the home folder.

    Earlier links stop working. The link is also in the file ``link_path``, readable by its owner alone.

    Raises:
        UsageError: no service runs there, or its key does not work.
    """
    settings = settings.model_copy(update={"home": settings.home.expanduser()})
    address = address_path(settings.home)
    if not address.exists():
        raise UsageError(f"No service runs in {settings.home}: start it with `cleanplate up`, which prints a link.")
    return _create_link(settings, address.read_text().strip())


def _create_link(settings: Settings, url: str) -> str:
    from storage.database import Database
    from storage.ledger.tenants.sessions import create_login_link
    from storage.ledger.tenants.tenants import identify

    database = Database.connect(settings.sqlalchemy_url)
    try:
        caller = identify(database, key_path(settings.home).read_text().strip())
        if caller is None:
            raise UsageError(f"The key in {key_path(settings.home)} has ended: `cleanplate up` makes another.")
        secret = create_login_link(database, caller.key_id, lifetime_s=LINK_LIFETIME_S)
    finally:
        database.close()
    # In the fragment: browsers send it to no server, and no proxy's log has it.
    link = f"{url.rstrip('/')}/login/link#{secret}"
    with replacing(link_path(settings.home), mode=0o600) as file:
        file.write(_LINK_PAGE.format(link=link).encode())
    return link


def _has_desktop() -> bool:
    """Whether somebody sits at this terminal before a desktop."""
    windows = sys.platform in {"darwin", "win32"} or any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return sys.stdout.isatty() and windows


def require_start(programs: Sequence[Child], reports: Sequence[DeviceReport]) -> None:
    """Check that all programs are on their way to work.

    Raises:
        ProgramFailed: one has ended with an error, or a worker's process reports why it cannot work.
    """
    for report in reports:
        if report.reason:
            raise ProgramFailed("worker", f"{report.device}: {report.reason}")
    for program in programs:
        if program.last_status == _EXPECTED_ERROR:
            raise ProgramFailed(program.name, "its error is printed above")
        if program.in_crash_loop:
            raise ProgramFailed(
                program.name, f"it keeps dying, last with {program.last_status}; the log above says more"
            )


def wait_until_ready(url: str, *, go_on: Callable[[], bool], within_s: float = READY_WITHIN_S) -> bool:
    """Poll the service at ``url`` until it and a worker are ready; False as soon as ``go_on()`` is false.

    Raises:
        NotReady: after ``within_s`` seconds.
    """
    deadline = time.monotonic() + within_s
    reason = "it was not polled in time"
    while go_on():
        if time.monotonic() > deadline:
            raise NotReady(within_s, reason)
        try:
            answer = httpx.get(f"{url}/readyz", timeout=5, trust_env=False)
        except httpx.TransportError as error:
            reason = f"the API does not answer ({error})"
        else:
            if answer.is_success and answer.json()["workers"]:
                return True
            reason = "no worker is running" if answer.is_success else f"{url}/readyz answers {answer.status_code}"
        time.sleep(WATCH_EVERY_S)
    return False


def _announce(settings: Settings) -> None:
    link = _create_link(settings, settings.public_url)
    with replacing(address_path(settings.home)) as file:
        file.write(f"{settings.public_url}\n".encode())
    sys.stdout.write(
        f"Cleanplate is ready at {settings.public_url} (API description at {settings.public_url}/docs).\n"
        f"Sign in, once and within an hour: {link}\n"
        f"`cleanplate link` prints another link. The API key is in {key_path(settings.home)}.\n"
        f"{_offer_large_network(settings)}"
        "Ctrl-C stops everything.\n"
    )
    sys.stdout.flush()


def _offer_large_network(settings: Settings) -> str:
    """A line that offers the large network, at the first start of a home folder that lacks it; else empty."""
    from cleanplate.base.weights import LARGE, PUBLISHED, folder, path_of
    from model.engine.costs import times_slower

    offered = folder(settings) / ".offered"
    if settings.weights == LARGE or path_of(settings, LARGE).exists() or offered.exists():
        return ""
    offered.parent.mkdir(exist_ok=True)
    offered.touch()
    slower = times_slower(report.device for report in read_reports(settings))
    cost = f"about {slower} times slower here" if slower else "slower"
    return (
        f"There is a large network, {PUBLISHED[LARGE].megabytes} MB, better in wide holes, {cost}: add it on the page, "
        f"or by `cleanplate weights pull {LARGE}`.\n"
    )


def free_port(host: str, port: int) -> int:
    """``port`` if nothing listens there, or a free one if it is 0.

    Raises:
        PortInUse: something listens there, or the port may not be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUse(host, port) from error
        return int(probe.getsockname()[1])
