"""``cleanplate up``: the whole service in one folder, its processes started, watched and stopped together.

The folder (home) belongs to one ``up`` at a time. It holds the ledger, the pictures, the queue, the key, the address.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import structlog
from filelock import FileLock, Timeout

from cleanplate.base.files import replacing
from cleanplate.base.home import address_path, key_path
from cleanplate.base.loopback import is_loopback
from cleanplate.base.processes import Family, python_command
from cleanplate.base.settings import Settings, load_settings
from cleanplate.errors import HomeInUse, HomeOpen, NotReady, PortInUse

log = structlog.get_logger(__name__)

PROGRAMS = ("serve", "dispatch", "worker")
TENANT = "local"
READY_WITHIN_S = 90.0
#: Longer than a worker takes to give back what it has not begun and to finish what it has.
STOP_WITHIN_S = 75.0
WATCH_EVERY_S = 0.25


def settle(*, home: Path | None, port: int | None) -> Settings:
    """The settings of an ``up``: paths absolute, the port found if it is 0, links leading to that port.

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


def local_url(host: str, port: int) -> str:
    """The address at which this machine reaches a server bound to ``host``."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def run(settings: Settings) -> int:
    """Run the service until SIGTERM or SIGINT; a second signal stops it at once. Returns the exit status.

    Raises:
        HomeInUse, HomeOpen: the home folder cannot be used.
        NotReady: the service did not come up; everything is stopped again.
    """
    signals: list[int] = []
    asked = threading.Event()

    def note(number: int, _frame: object) -> None:
        signals.append(number)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)

    with _own(settings.home):
        address_path(settings.home).unlink(missing_ok=True)  # of a service that was killed
        settings = _for_browsers_here(settings, _prepare(settings))
        family = Family(os.environ | settings.environment())

        def go_on() -> bool:
            family.tend()
            return not asked.is_set()

        try:
            for program in PROGRAMS:
                family.start(program, python_command("cleanplate", program))
            if wait_until_ready(local_url(settings.host, settings.port), go_on=go_on):
                _announce(settings)
            while not asked.wait(WATCH_EVERY_S):
                family.tend()
        finally:
            address_path(settings.home).unlink(missing_ok=True)
            log.info("up.stopping")
            family.stop(STOP_WITHIN_S, hurry=lambda: len(signals) > 1)
    return 0


@contextmanager
def _own(home: Path) -> Iterator[None]:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if home.stat().st_mode & 0o077:
        if any(home.iterdir()) and not (home / "ledger.sqlite3").exists():
            raise HomeOpen(home)
        home.chmod(0o700)
    try:
        with FileLock(home / "up.lock", timeout=0):
            yield
    except Timeout:
        raise HomeInUse(home) from None


def _prepare(settings: Settings) -> str:
    """Ledger at its newest schema, the tenant, and a key that works; returns the key's id."""
    from storage.database import Database
    from storage.ledger.tenants.tenants import create_key, ensure_tenant, identify
    from storage.migrate import migrate

    migrate(settings.sqlalchemy_url)
    database = Database.connect(settings.sqlalchemy_url)
    try:
        tenant = ensure_tenant(database, TENANT)
        path = key_path(settings.home)
        caller = identify(database, path.read_text().strip()) if path.exists() else None
        if caller is not None and caller.tenant_id == tenant:
            return caller.key_id
        key, secret = create_key(database, tenant, "up")
        with replacing(path, mode=0o600) as file:
            file.write(f"{secret}\n".encode())
        return key.id
    finally:
        database.close()


def _for_browsers_here(settings: Settings, key_id: str) -> Settings:
    """Where the service is this machine's alone, its page needs no key; where it is published, it asks for one."""
    alone = all(is_loopback(host) for host in (settings.host, urlsplit(settings.public_url).hostname))
    return settings.model_copy(
        update={
            "local_key_id": key_id if alone else "",
            "operator_tenants": tuple({*settings.operator_tenants, TENANT}),
        }
    )


def wait_until_ready(url: str, *, go_on: Callable[[], bool], within_s: float = READY_WITHIN_S) -> bool:
    """Ask the service at ``url`` until it is ready; False as soon as ``go_on()`` says so.

    Raises:
        NotReady: after ``within_s`` seconds.
    """
    deadline = time.monotonic() + within_s
    reason = "it was not asked in time"
    while go_on():
        if time.monotonic() > deadline:
            raise NotReady(within_s, reason)
        try:
            answer = httpx.get(f"{url}/readyz", timeout=5, trust_env=False)
        except httpx.TransportError as error:
            reason = f"the API does not answer ({error})"
        else:
            if answer.is_success:
                return True
            reason = f"{url}/readyz answers {answer.status_code}"
        time.sleep(WATCH_EVERY_S)
    return False


def _announce(settings: Settings) -> None:
    with replacing(address_path(settings.home)) as file:
        file.write(f"{settings.public_url}\n".encode())
    sys.stdout.write(
        f"Cleanplate is ready at {settings.public_url} (API description at {settings.public_url}/docs).\n"
        f"The API key is in {key_path(settings.home)}. Ctrl-C stops everything.\n"
    )
    sys.stdout.flush()


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
