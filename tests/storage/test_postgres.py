"""State and keys in PostgreSQL, on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from icure_async.errors import ConfigurationError, StorageError, ValidationError
from icure_async.models.key_pair import KeyPair
from icure_async.storage import (
    EncryptedKeyStorage,
    EncryptedStorage,
    PostgresKeyStorage,
    PostgresStorage,
    StorageKeyStorage,
    derive_user_key,
)
from icure_async.storage._postgres_schema import _LOCK
from tests.support.leaks import assert_secret_free, logged
from tests.support.postgres import PASSWORD, PostgresServer

pytestmark = pytest.mark.postgres

OWNER = "47a0e3f8-6f4d-4133-ab98-4ff2de8d8e26"
SECRET = "a secret of the service, of 32 characters"

Make = Callable[..., PostgresStorage]


@pytest.fixture
async def make(postgres_url: str) -> AsyncIterator[Make]:
    """Makes storages on the database, each with connections of its own, and closes them."""
    async with contextlib.AsyncExitStack() as stack:

        def made(target: str | object = postgres_url, **options: Any) -> PostgresStorage:
            storage = PostgresStorage(target, **{"timeout": 10.0, **options})
            stack.push_async_callback(storage.aclose)
            return storage

        yield made


@pytest.fixture
def storage(make: Make) -> PostgresStorage:
    return make()


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[AsyncConnectionPool[Any]]:
    """A pool as an application has one: not in autocommit, with rows of another form."""
    async with AsyncConnectionPool(
        postgres_url, kwargs={"row_factory": dict_row}, min_size=1, max_size=4, open=False
    ) as pool:
        yield pool


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(function, *arguments)


async def problem_of(call: Awaitable[object]) -> str:
    """Return the message of the StorageError of a call, which shows nothing else."""
    with pytest.raises(StorageError) as caught:
        await call
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert_secret_free(caught.value, PASSWORD)
    return str(caught.value)


# The schema.


async def test_a_missing_schema_is_an_error_that_names_the_command(
    make: Make, postgres_server: PostgresServer
) -> None:
    empty = postgres_server.url(await in_thread(postgres_server.new_database))
    for storage in (make(empty), make(empty, schema="other")):
        assert "run 'icure storage init'" in await problem_of(storage.get_item("x"))
        assert "run 'icure storage init'" in await problem_of(storage.set_item("x", "y"))
        with pytest.raises(StorageError, match="icure storage init"):
            async with storage.lock("x"):
                raise AssertionError("no such lock")


async def test_it_is_made_once_however_many_make_it_at_once(
    make: Make, postgres_server: PostgresServer
) -> None:
    empty = postgres_server.url(await in_thread(postgres_server.new_database))
    storages = [make(empty) for _ in range(4)]
    await asyncio.gather(*(storage.init() for storage in storages))
    await storages[0].set_item("x", "y")
    await storages[1].init()
    assert [await storage.get_item("x") for storage in storages] == ["y"] * 4


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_it_is_made_once_where_transactions_are_isolated_more(
    make: Make, postgres_server: PostgresServer, level: str
) -> None:
    database = postgres_server.new_database()
    postgres_server.execute(
        f"ALTER DATABASE {database} SET default_transaction_isolation = '{level}'"
    )
    url = postgres_server.url(database)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as owner:
        # Both wait for the third one's turn to end.
        await owner.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        making = [asyncio.create_task(make(url).init()) for _ in range(2)]
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while len(await in_thread(postgres_server.execute, waiting)) < 2:
            pass
    await asyncio.gather(*making)


@pytest.mark.parametrize("is_locked", [False, True])
async def test_a_write_that_conflicts_with_another_one_is_repeated(
    make: Make, postgres_server: PostgresServer, postgres_database: str, is_locked: bool
) -> None:
    # A sequence counts on when a transaction is rolled back.
    postgres_server.execute("CREATE SEQUENCE icure.attempts", postgres_database)
    postgres_server.execute(
        "CREATE FUNCTION icure.conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF nextval('icure.attempts') < 4 THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF; "
        "RETURN NEW; END $$",
        postgres_database,
    )
    postgres_server.execute(
        "CREATE TRIGGER conflict BEFORE INSERT ON icure.storage_items FOR EACH ROW "
        "EXECUTE FUNCTION icure.conflict()",
        postgres_database,
    )
    storage = make()
    async with storage.lock("x") if is_locked else contextlib.nullcontext():
        await storage.set_item("x", "1")
    assert await storage.get_item("x") == "1"


async def test_a_schema_of_another_version_is_refused_and_left_alone(
    make: Make, postgres_server: PostgresServer, postgres_database: str
) -> None:
    change = "UPDATE icure.storage_version SET version = {}"
    await in_thread(postgres_server.execute, change.format(7), postgres_database)
    for call in (make().get_item("x"), make().init(), make().open()):
        problem = await problem_of(call)
        assert "is of version 7" in problem
        assert "update icure-async" in problem
    await in_thread(postgres_server.execute, change.format(0), postgres_database)
    assert "run 'icure storage init'" in await problem_of(make().get_item("x"))
    rows = await in_thread(
        postgres_server.execute, "SELECT version FROM icure.storage_version", postgres_database
    )
    assert rows == [(0,)]


async def test_tables_that_are_dropped_later_are_missed_and_made_again(
    storage: PostgresStorage, postgres_server: PostgresServer, postgres_database: str
) -> None:
    await storage.set_item("x", "y")
    await in_thread(postgres_server.execute, "DROP SCHEMA icure CASCADE", postgres_database)
    assert "run 'icure storage init'" in await problem_of(storage.get_item("x"))
    await storage.init()
    assert await storage.get_item("x") is None


async def test_two_schemas_of_a_database_have_nothing_to_do_with_each_other(make: Make) -> None:
    storage, other = make(), make(schema='odd "name"; DROP')
    await other.init()
    await storage.set_item("x", "1")
    assert await other.get_item("x") is None
    async with storage.lock("x"), other.lock("x") as lock:
        assert not lock.waited


@pytest.mark.parametrize("schema", ["", "a\0b", "pg_mine", "x" * 64, "a\ud800", 5, None])
def test_impossible_names_of_schemas(schema: str) -> None:
    with pytest.raises(ConfigurationError, match="name of a schema"):
        PostgresStorage("postgresql://h/d", schema=schema)


async def test_a_database_of_another_encoding_is_refused(
    make: Make, postgres_server: PostgresServer
) -> None:
    await in_thread(
        postgres_server.execute, "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0"
    )
    assert "UTF8" in await problem_of(make(postgres_server.url("latin")).init())


async def test_a_user_without_permissions_is_told_who_can_give_them(
    make: Make, postgres_server: PostgresServer, postgres_database: str
) -> None:
    await in_thread(postgres_server.execute, "CREATE ROLE stranger LOGIN")
    stranger = make(postgres_server.url(postgres_database, user="stranger"))
    for call in (stranger.get_item("x"), stranger.set_item("x", "y"), stranger.open()):
        assert "--grant" in await problem_of(call)
    assert "permission" in await problem_of(make(stranger_url(postgres_server)).init())


def stranger_url(server: PostgresServer) -> str:
    return server.url("postgres", user="stranger")


# Items.


@pytest.mark.parametrize("role", ["", "a\0b", "a\ud800", "a" * 64, 5])
async def test_nothing_is_granted_to_a_user_who_cannot_be(
    storage: PostgresStorage, role: str
) -> None:
    assert "has 1 to 63 bytes" in await problem_of(storage.grant(role))


async def test_items_of_all_kinds(storage: PostgresStorage) -> None:
    items = {
        "plain": "text",
        "empty": "",
        "with NUL": "a\0b",
        "Ünï/çödé %_\\ '\" 😀": "ü😀",
        "x" * 1024: "long name",
        "large": "0123456789" * 200_000,
    }
    for name, value in items.items():
        await storage.set_item(name, value)
    assert {name: await storage.get_item(name) for name in items} == items
    assert await storage.list_items() == sorted(items)
    await storage.set_item("plain", "newer")
    await storage.remove_item("empty")
    await storage.remove_item("empty")
    assert await storage.get_item("plain") == "newer"
    assert await storage.get_item("empty") is None


async def test_items_that_start_with_a_prefix(storage: PostgresStorage) -> None:
    last = "\U0010ffff"
    names = ["a", "a%", "a_", "ab", "a\ud7ff".encode("utf-16", "surrogatepass").decode("utf-16")]
    names += [f"a{last}", f"a{last}b", "b", last, f"{last}{last}", "a\ud7ff"[:1] + "\ue000", "A"]
    for name in dict.fromkeys(names):
        await storage.set_item(name, "x")
    for prefix in ("", "a", "a%", "a_", "ab", f"a{last}", last, "\ud7ff", "a\ud7ff", "z", "\x7f"):
        expected = sorted({name for name in names if name.startswith(prefix)})
        assert await storage.list_items(prefix) == expected, ascii(prefix)
    assert await storage.list_items("\ud800") == await storage.list_items("a\0") == []


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "x" * 1025, "ü" * 513])
async def test_impossible_names_never_reach_the_server(name: str) -> None:
    storage = PostgresStorage("postgresql://nowhere.invalid/x")
    for call in (storage.get_item(name), storage.set_item(name, "x"), storage.remove_item(name)):
        with pytest.raises(ValidationError):
            await call
    with pytest.raises(ValidationError, match="lone surrogates"):
        await storage.set_item("name", "\ud800")


async def test_an_item_that_is_no_text_is_an_error(
    storage: PostgresStorage, postgres_server: PostgresServer, postgres_database: str
) -> None:
    await storage.set_item("x", "y")
    await in_thread(
        postgres_server.execute,
        r"UPDATE icure.storage_items SET value = '\xff'",
        postgres_database,
    )
    assert "it is damaged" in await problem_of(storage.get_item("x"))


async def test_no_two_users_share_a_namespace(storage: PostgresStorage) -> None:
    pairs = [("a", "b.c"), ("a.b", "c"), ("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c"), ("a", "b%2Fc")]
    storages = [storage.with_namespace(one).with_namespace(two) for one, two in pairs]
    storages += [
        storage.with_namespace(name) for name in ("a", "a/b/c", "a.b.c", "ab.c", ".", "..")
    ]
    storages.append(storage)
    for number, one in enumerate(storages):
        await one.set_item("x", str(number))
    assert [await one.get_item("x") for one in storages] == [str(n) for n in range(len(storages))]
    assert len({one.namespace for one in storages}) == len(storages)
    async with contextlib.AsyncExitStack() as stack:
        for one in storages:
            lock = await stack.enter_async_context(one.lock("x"))
            assert not lock.waited
    assert await storage.list_namespaces() == sorted(
        {one for one, _ in pairs} | {"a/b/c", "a.b.c", "ab.c", ".", ".."}
    )
    assert await storage.with_namespace("a").list_namespaces() == ["b%2Fc", "b.c", "b/c"]


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "x" * 1025])
def test_impossible_namespaces(name: str) -> None:
    storage = PostgresStorage("postgresql://h/d")
    with pytest.raises(ValidationError):
        storage.with_namespace(name)
    if name:
        with pytest.raises(ValidationError):
            PostgresStorage("postgresql://h/d", namespace=name)


# Durability.


@pytest.mark.parametrize(
    ("default", "in_a_write"),
    [("off", "on"), ("local", "on"), ("remote_write", "on"), ("remote_apply", "remote_apply")],
)
async def test_a_write_is_durable_whatever_the_default_of_the_role_is(
    make: Make,
    postgres_server: PostgresServer,
    postgres_database: str,
    default: str,
    in_a_write: str,
) -> None:
    for statement in (
        f"ALTER DATABASE {postgres_database} SET synchronous_commit = {default}",
        "CREATE TABLE seen (setting text)",
        """CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$""",
        """CREATE TRIGGER see AFTER INSERT OR UPDATE OR DELETE ON icure.storage_items
        FOR EACH ROW EXECUTE FUNCTION see()""",
    ):
        await in_thread(postgres_server.execute, statement, postgres_database)
    storage = make()
    await storage.set_item("x", "1")
    await storage.set_item("x", "2")
    await storage.remove_item("x")
    async with storage.lock("x"):
        await storage.set_item("x", "3")
        await storage.remove_item("x")
    seen = await in_thread(postgres_server.execute, "SELECT setting FROM seen", postgres_database)
    assert seen == [(in_a_write,)] * 5
    async with AsyncConnectionPool(
        postgres_server.url(postgres_database), min_size=1, max_size=2, open=False
    ) as pool:
        await make(pool).set_item("x", "4")
        async with pool.connection() as connection:
            cursor = await connection.execute("SHOW synchronous_commit")
            assert await cursor.fetchone() == (default,)


# PostgreSQL that is away, or refuses.


async def test_connections_that_have_died_are_replaced(
    make: Make, postgres_server: PostgresServer, postgres_database: str
) -> None:
    storage = make()
    await asyncio.gather(*(storage.set_item(str(number), "x") for number in range(20)))
    assert len(await in_thread(postgres_server.backends, postgres_database)) > 1
    for call in (
        lambda: storage.get_item("1"),
        lambda: storage.set_item("1", "y"),
        lambda: storage.remove_item("2"),
        storage.list_items,
        lambda: enter(storage),
    ):
        await in_thread(postgres_server.cut_off, postgres_database)
        await call()
    assert await storage.get_item("1") == "y"


async def enter(storage: PostgresStorage, name: str = "name") -> None:
    async with storage.lock(name):
        pass


async def test_a_server_that_comes_back_is_used_again(
    postgres_server: PostgresServer, make: Make
) -> None:
    storage, impatient = make(), make(timeout=0.3)
    await storage.set_item("x", "y")
    await impatient.open()
    await in_thread(postgres_server.stop)
    try:
        for call in (impatient.get_item("x"), impatient.set_item("x", "z"), enter(impatient)):
            assert "cannot be reached" in await problem_of(call)
        assert "cannot be reached" in await problem_of(make().open())
        waiting = asyncio.create_task(storage.get_item("x"))
        await asyncio.sleep(0.1)
    finally:
        await in_thread(postgres_server.start)
    assert await waiting == "y"
    await impatient.set_item("x", "z")
    assert await storage.get_item("x") == "z"


async def test_a_refused_password_is_said_at_once_and_shown_nowhere(
    make: Make,
    postgres_server: PostgresServer,
    postgres_database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    right = make(postgres_server.tcp_url(postgres_database))
    await right.set_item("x", "y")
    await in_thread(postgres_server.cut_off, postgres_database)
    wrong = make(postgres_server.tcp_url(postgres_database, password="wrong-password"))
    problem = await problem_of(wrong.get_item("x"))
    assert "refuses the user name or the password" in problem
    nobody = make(postgres_server.tcp_url(postgres_database, user="nobody"))
    assert "refuses the user name or the password" in await problem_of(nobody.get_item("x"))
    assert await right.get_item("x") == "y"
    for shown in (logged(caplog.records), problem, repr(right), repr(wrong), str(vars(wrong))):
        assert PASSWORD not in shown
        assert "wrong-password" not in shown


@pytest.mark.parametrize(
    "conninfo",
    [
        f"postgresql://user:{PASSWORD}@host:port/d",
        f"postgresql://user:pass {PASSWORD}@host/d",
        f"host=a password={PASSWORD} {PASSWORD}",
        f"postgresql://user:{PASSWORD}@host/d?no_such_option={PASSWORD}",
        f"{PASSWORD}",
    ],
)
async def test_a_malformed_connection_string_is_never_quoted(conninfo: str) -> None:
    with pytest.raises((ConfigurationError, StorageError)) as caught:
        await PostgresStorage(conninfo).open()
    assert_secret_free(caught.value, PASSWORD)


async def test_a_missing_database(make: Make, postgres_server: PostgresServer) -> None:
    problem = await problem_of(make(postgres_server.url("no_such")).get_item("x"))
    assert "no such database" in problem


async def test_a_server_that_is_not_there(make: Make) -> None:
    storage = make("postgresql://user@127.0.0.1:1/database")
    assert "cannot be reached" in await problem_of(storage.get_item("x"))


async def test_a_standby_is_refused_without_damage(
    make: Make, postgres_server: PostgresServer, postgres_database: str
) -> None:
    await make().set_item("x", "y")
    change = f"ALTER DATABASE {postgres_database} SET default_transaction_read_only = on"
    await in_thread(postgres_server.execute, change)
    standby = make()
    for call in (standby.set_item("x", "z"), standby.remove_item("x")):
        assert "read-only" in await problem_of(call)
    async with standby.lock("x"):
        assert "target_session_attrs" in await problem_of(standby.set_item("x", "z"))
    assert await standby.get_item("x") == "y"


async def test_a_statement_that_takes_too_long_is_given_up(
    make: Make, postgres_server: PostgresServer, postgres_database: str
) -> None:
    change = f"ALTER DATABASE {postgres_database} SET statement_timeout = '50ms'"
    await in_thread(postgres_server.execute, change)
    storage = make()
    await storage.set_item("x", "y")
    url = postgres_server.url(postgres_database)
    async with await psycopg.AsyncConnection.connect(url) as other:
        await other.execute("LOCK icure.storage_items")
        assert "statement_timeout" in await problem_of(storage.set_item("x", "z"))
        async with storage.lock("x"):
            assert "statement_timeout" in await problem_of(storage.set_item("x", "z"))
            await other.rollback()
            # The lock is still held: only the statement was given up.
            await storage.set_item("x", "later")
    assert await storage.get_item("x") == "later"


async def test_an_exhausted_pool_says_so(
    make: Make, postgres_server: PostgresServer, postgres_database: str
) -> None:
    storage = make(max_connections=2, timeout=0.3)
    await storage.set_item("x", "y")
    url = postgres_server.url(postgres_database)
    async with await psycopg.AsyncConnection.connect(url) as other:
        await other.execute("LOCK icure.storage_items")
        busy = [asyncio.create_task(storage.set_item("x", "z")) for _ in range(2)]
        await asyncio.sleep(0.05)
        problem = await problem_of(storage.get_item("x"))
        await other.rollback()
    await asyncio.gather(*busy)
    assert "came free" in problem
    assert "max_connections" in problem


async def test_a_server_without_connections_says_so(
    make: Make, postgres_server: PostgresServer, postgres_database: str
) -> None:
    await in_thread(postgres_server.execute, "CREATE ROLE single LOGIN CONNECTION LIMIT 1")
    url = postgres_server.url(postgres_database, user="single")
    async with await psycopg.AsyncConnection.connect(url):
        assert "max_connections" in await problem_of(make(url).get_item("x"))


async def test_a_cancelled_write_never_happens_later(
    storage: PostgresStorage, postgres_server: PostgresServer, postgres_database: str
) -> None:
    await storage.set_item("x", "y")
    url = postgres_server.url(postgres_database)
    async with await psycopg.AsyncConnection.connect(url) as other:
        await other.execute("LOCK icure.storage_items")
        writing = asyncio.create_task(storage.set_item("x", "z"))
        await asyncio.sleep(0.1)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await other.rollback()
    assert await storage.get_item("x") == "y"
    await storage.set_item("x", "newer")
    assert await storage.get_item("x") == "newer"


# Whose connections they are.


async def test_the_pool_of_an_application_is_used_and_never_closed(
    pool: AsyncConnectionPool[Any], make: Make
) -> None:
    storage = make(pool)
    async with storage:
        await storage.set_item("x", "y")
        async with storage.lock("x"):
            await storage.set_item("x", "z")
        assert await storage.list_namespaces() == []
    async with pool.connection() as connection:
        assert not connection.autocommit
        cursor = await connection.execute(
            "SELECT convert_from(value, 'UTF8') AS value FROM icure.storage_items"
        )
        assert await cursor.fetchone() == {"value": "z"}


async def test_all_storages_on_a_pool_lock_on_one_connection(
    pool: AsyncConnectionPool[Any], make: Make
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(50):
            storage = make(pool, namespace=str(number))
            await stack.enter_async_context(storage.lock("x"))
            await storage.set_item("x", "y")
        assert pool.get_stats()["pool_size"] <= 4
    assert pool.get_stats()["pool_available"] == pool.get_stats()["pool_size"]


async def test_pools_that_cannot_serve(postgres_url: str) -> None:
    async with AsyncConnectionPool(postgres_url, min_size=1, max_size=1, open=False) as single:
        with pytest.raises(ConfigurationError, match="2 connections or more"):
            PostgresStorage(single)
    assert "is closed" in await problem_of(
        PostgresStorage(AsyncConnectionPool(postgres_url, max_size=4, open=False)).get_item("x")
    )
    wrong: Any
    for wrong in (5, None, object()):
        with pytest.raises(ConfigurationError, match="connection string"):
            PostgresStorage(wrong)
    with pytest.raises(ConfigurationError, match="2 connections or more"):
        PostgresStorage(postgres_url, max_connections=1)
    for timeout in (math.nan, math.inf, "10", None, True):
        with pytest.raises(ConfigurationError, match="timeout"):
            PostgresStorage(postgres_url, timeout=timeout)  # type: ignore[arg-type]
    for most in ("10", 2.5, None):
        with pytest.raises(ConfigurationError, match="max_connections"):
            PostgresStorage(postgres_url, max_connections=most)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="namespace"):
        PostgresStorage(postgres_url, namespace=5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="timeout"):
        PostgresStorage(postgres_url, timeout=0)


async def test_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'icure-async\[postgres\]'"):
        PostgresStorage("postgresql://h/d")


async def test_a_closed_storage_says_so_and_opens_again(make: Make) -> None:
    storage = make()
    namespace = storage.with_namespace("user")
    async with storage:
        await namespace.set_item("x", "y")
        await namespace.aclose()
        assert await namespace.get_item("x") == "y"
    for call in (storage.get_item("x"), namespace.set_item("x", "z"), enter(storage)):
        assert "was closed" in await problem_of(call)
    await storage.open()
    assert await namespace.get_item("x") == "y"


async def test_closed_in_use_it_breaks_no_write_in_half(storage: PostgresStorage) -> None:
    await storage.set_item("x", "0")
    writing = [asyncio.create_task(storage.set_item("x", str(n))) for n in range(30)]
    await asyncio.sleep(0.002)
    await storage.aclose()
    outcomes = await asyncio.gather(*writing, return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, StorageError) for outcome in outcomes)
    await storage.open()
    assert await storage.get_item("x") in {str(n) for n in range(30)}


async def test_another_event_loop_is_told_what_to_do(storage: PostgresStorage) -> None:
    await storage.set_item("x", "y")

    def elsewhere() -> None:
        with pytest.raises(ConfigurationError, match="another event loop"):
            asyncio.run(storage.get_item("x"))

    await in_thread(elsewhere)
    assert await storage.get_item("x") == "y"


def test_a_forked_process_makes_its_own(postgres_url: str) -> None:
    unused = PostgresStorage(postgres_url)
    used = PostgresStorage(postgres_url)

    async def child() -> None:
        async with unused:
            assert await unused.get_item("x") == "y"
        with pytest.raises(ConfigurationError, match=r"os\.fork"):
            await used.get_item("x")

    async def parent() -> None:
        async with used:
            await used.set_item("x", "y")
            pid = os.fork()
            if not pid:
                status = 1
                try:
                    asyncio.set_event_loop(None)
                    asyncio._set_running_loop(None)
                    asyncio.new_event_loop().run_until_complete(child())
                    status = 0
                finally:
                    os._exit(status)
            _, status = await asyncio.to_thread(os.waitpid, pid, 0)
            assert status == 0
            assert await used.get_item("x") == "y"

    asyncio.run(parent())


# Keys.


async def test_keys_are_stored_and_shared(postgres_url: str, make: Make, pair: KeyPair) -> None:
    async with PostgresKeyStorage(postgres_url, namespace="keys") as keys:
        await keys.init()
        await keys.store_key_pair(OWNER, pair)
        async with keys.lock(OWNER) as lock:
            assert not lock.waited
        assert repr(keys) == "PostgresKeyStorage(namespace='keys')"
    others = StorageKeyStorage(make().with_namespace("keys"))
    assert await others.list_key_pairs(OWNER) == [pair]


async def test_keys_of_each_user_are_sealed_under_a_key_of_the_users_own(
    storage: PostgresStorage,
    pair: KeyPair,
    postgres_server: PostgresServer,
    postgres_database: str,
) -> None:
    def keys_of(user: str, of: str | None = None) -> EncryptedKeyStorage:
        key = derive_user_key(SECRET, of or user)
        return EncryptedKeyStorage.over(storage.with_namespace(user), key=key)

    await keys_of("ann").store_key_pair(OWNER, pair)
    await keys_of("bob").store_key_pair("bob", pair)
    assert await keys_of("ann").list_key_pairs(OWNER) == [pair]
    with pytest.raises(StorageError, match="none of the keys"):
        await keys_of("ann", of="bob").list_key_pairs(OWNER)
    # The administrator of the database moves rows from one user to another.
    await in_thread(
        postgres_server.execute,
        "UPDATE icure.storage_items a SET value = b.value FROM icure.storage_items b "
        "WHERE a.namespace = 'ann' AND b.namespace = 'bob' AND a.name = 'icure.master-key' "
        "AND b.name = a.name",
        postgres_database,
    )
    with pytest.raises(StorageError, match="none of the keys"):
        await keys_of("ann").list_key_pairs(OWNER)


async def test_two_machines_make_one_master_key(make: Make) -> None:
    key = derive_user_key(SECRET, "ann")
    storages = [EncryptedStorage(make(), key=key) for _ in range(4)]
    await asyncio.gather(*(one.set_item(str(n), "x") for n, one in enumerate(storages)))
    assert [await storages[0].get_item(str(n)) for n in range(4)] == ["x"] * 4
