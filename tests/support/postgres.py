"""A PostgreSQL server of the tests' own, on a Unix socket or a free port."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from icure_async.storage import PostgresStorage

__all__ = [
    "PASSWORD",
    "PostgresServer",
    "binaries",
    "postgres_database",
    "postgres_server",
    "postgres_url",
    "require_postgres",
]

START_SECONDS = 30.0
_ROOM = 2**30
SUPERUSER = "owner"
PASSWORD = "the-password-of-the-owner"


def binaries() -> Path | None:
    """Return the folder with the newest ``postgres`` and ``initdb``, or None."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: float(path.parts[-3]),
    )
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return None if initdb is None else Path(initdb).resolve().parent


def require_postgres() -> Path:
    """Return the folder of the binaries; skip the test, or fail, where there is none."""
    found = binaries()
    if found is None:
        reason = "PostgreSQL is not installed (Debian's package: postgresql)."
        if os.environ.get("REQUIRE_POSTGRES") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


def _other_user() -> pwd.struct_passwd | None:
    """Return the user to run the server as, which refuses to run as root; None for this one."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("There is no other user than root.")


class PostgresServer:
    """A server with data that reach the disk, to be killed and started again.

    Attributes:
        port: of its socket and on 127.0.0.1.
    """

    def __init__(self, *, fsync: bool = True) -> None:
        self._binaries = require_postgres()
        self._user = _other_user()
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir=_quick_disk()))
        self._data = self._folder / "data"
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self.port = _free_port()
        self._initialise()

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self._user is not None:
            os.chown(password, self._user.pw_uid, self._user.pw_gid)
        self._run(
            *("initdb", "-D", str(self._data), "-U", SUPERUSER, "--no-sync", "-E", "UTF8"),
            *("--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"),
            f"--pwfile={password}",
        )

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._binaries / name), *arguments],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            user=self._user and self._user.pw_uid,
            group=self._user and self._user.pw_gid,
        )

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = {
            "port": str(self.port),
            "unix_socket_directories": str(self._folder),
            "listen_addresses": "127.0.0.1",
            "fsync": "on" if self._fsync else "off",
            "max_connections": "100",
            "shared_buffers": "16MB",
            "jit": "off",
            "logging_collector": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self._data), *options],
                cwd="/",
                stdout=log,
                stderr=log,
                user=self._user and self._user.pw_uid,
                group=self._user and self._user.pw_gid,
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise RuntimeError(self.log()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop the server as its administrator does: connections are closed at once."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill the server and all its sessions, as a loss of power does."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if number is signal.SIGKILL:
            # It starts no others while it stands still.
            process.send_signal(signal.SIGSTOP)
            for pid in _children_of(process.pid):
                os.kill(pid, number)
        process.send_signal(number)
        process.wait(START_SECONDS)

    def close(self) -> None:
        """Stop the server and remove its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str, *, user: str = SUPERUSER) -> str:
        """Return a connection string over the Unix socket, which asks for no password."""
        return f"postgresql://{user}@/{database}?host={self._folder}&port={self.port}"

    def tcp_url(self, database: str, *, user: str = SUPERUSER, password: str = PASSWORD) -> str:
        """Return a connection string over TCP, where a password is needed."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    @property
    def socket(self) -> Path:
        """Path of the Unix socket."""
        return self._folder / f".s.PGSQL.{self.port}"

    def new_database(self, *, template: str = "template1") -> str:
        """Make a database, and return its name."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def execute(self, statement: sql.Composable | str, database: str = "postgres") -> list[Any]:
        """Run a statement as the superuser, and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description is not None else []

    def log(self) -> str:
        """Return what the server has logged."""
        return (self._folder / "log").read_text(errors="replace")

    def backends(self, database: str) -> list[int]:
        """Return the process ids of the sessions of a database."""
        rows = self.execute(
            sql.SQL("SELECT pid FROM pg_stat_activity WHERE datname = {}").format(database)
        )
        return [pid for (pid,) in rows]

    def cut_off(self, database: str) -> None:
        """End all sessions of a database."""
        pids = set(self.backends(database))
        for pid in pids:
            self.execute(sql.SQL("SELECT pg_terminate_backend({})").format(pid))
        end = time.monotonic() + START_SECONDS
        while pids & set(self.backends(database)) and time.monotonic() < end:
            time.sleep(0.005)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running server; a test that kills it starts it again."""
    server = PostgresServer()
    server.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: PostgresServer) -> str:
    name = postgres_server.new_database()

    async def make() -> None:
        storage = PostgresStorage(postgres_server.url(name))
        await storage.init()
        await storage.aclose()

    # A test that asks for it may have an event loop running here.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, make()).result()
    return name


@pytest.fixture
def postgres_database(postgres_server: PostgresServer, _postgres_template: str) -> str:
    """The name of a database of the test's own, with the tables; making one takes a while."""
    return postgres_server.new_database(template=_postgres_template)


@pytest.fixture(scope="session")
def _postgres_shared(postgres_server: PostgresServer, _postgres_template: str) -> str:
    return postgres_server.new_database(template=_postgres_template)


@pytest.fixture
def postgres_url(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, _postgres_shared: str
) -> str:
    """The connection string of a database with empty tables: the test's own, if it has one."""
    if "postgres_database" in request.fixturenames:
        return postgres_server.url(request.getfixturevalue("postgres_database"))
    postgres_server.execute("DELETE FROM icure.storage_items", _postgres_shared)
    return postgres_server.url(_postgres_shared)


def _quick_disk() -> str:
    """Return a folder in memory if there is room, where a sync takes no time; else one on disk.

    A process that is killed loses nothing in either. The path is short, since that of a Unix socket
    has about a hundred characters.
    """
    try:
        room = shutil.disk_usage("/dev/shm").free
    except OSError:
        room = 0
    return "/dev/shm" if room > _ROOM else "/tmp"


def _children_of(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
