"""The whole service in one folder, run by ``cleanplate up``; tests can stop it and start it again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from cleanplate.base.home import key_path
from cleanplate.base.settings import Settings
from cleanplate.embedded.service import create_link
from storage.database import Database
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from tests.running import processes_with, running, until
from tests.servers import free_port

#: Few processes and threads, for a shared machine; webhooks may go to the loopback receiver.
SMALL = {
    "CLEANPLATE_API_WORKERS": "1",
    "CLEANPLATE_API_THREADS": "4",
    "CLEANPLATE_TORCH_THREADS": "1",
    "CLEANPLATE_DEVICE": "cpu",
    "CLEANPLATE_WEBHOOK_ALLOW_PRIVATE": "true",
}


class Embedded:
    """A service with its address, its key and its folder."""

    def __init__(self, folder: Path, path: str = "", settings: Mapping[str, str] | None = None) -> None:
        """``path``: the URL path of the service, as behind a proxy; ``settings``: further variables."""
        self._path = path
        self._settings = SMALL | dict(settings or {})
        self.home = folder / "home"
        self._log_path = folder / "up.log"
        self._port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{self._path}"

    @property
    def key(self) -> str:
        return key_path(self.home).read_text().strip()

    def change_tenant(self) -> None:
        """Put a key of a new tenant in the place of the folder's key: it owns nothing, and is no operator."""
        with closing(Database.connect(Settings(home=self.home).sqlalchemy_url)) as database:
            _, secret = create_key(database, ensure_tenant(database, f"tenant-{token_hex(8)}"), "tests")
        key_path(self.home).write_text(secret)

    def sign_in_link(self) -> str:
        """A link that signs a browser in, as ``cleanplate link`` prints it."""
        return create_link(Settings(home=self.home))

    @contextmanager
    def up(self) -> Iterator[None]:
        """Run the service during the block, at the same address each time."""
        settings = self._settings | {"CLEANPLATE_HOME": str(self.home), "CLEANPLATE_PORT": str(self._port)}
        if self._path:
            settings["CLEANPLATE_PUBLIC_URL"] = self.url
        (self.home / "address").unlink(missing_ok=True)  # of a life that was killed
        with running("up", settings=settings, log_path=self._log_path) as started:

            def ready() -> bool:
                assert started.process.poll() is None, started.log
                return (self.home / "address").exists()

            until(ready, lambda: f"up was not ready:\n{started.log}")
            yield

    def kill(self) -> None:
        """``kill -9`` every process of the service, so that none of them can clean up."""
        mark = f"CLEANPLATE_HOME={self.home}"
        for pid in processes_with(mark):
            with suppress(ProcessLookupError):  # the process died with its parent
                os.kill(pid, signal.SIGKILL)
        until(lambda: not processes_with(mark), "processes of the service outlived kill -9")


@contextmanager
def embedded(folder: Path, path: str = "", settings: Mapping[str, str] | None = None) -> Iterator[Embedded]:
    """A new service that runs during the block, under the URL ``path``, with further ``settings``."""
    service = Embedded(folder, path, settings)
    with service.up():
        yield service
