"""Threads: the SDK takes its own, and leaves the application's alone."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread

import icure_async
import icure_sync
from icure_async import Patient, threads
from icure_async.errors import ICureError
from icure_async.sandbox import Sandbox
from icure_async.storage import EncryptedKeyStorage, FileKeyStorage, FileStorage
from icure_async.storage.backup import export_key_pairs, import_key_pairs
from tests.support.builders import anonymous_builder_for, builder_for
from tests.support.interpreters import run_program

PHONE = "+32 588 23 55 95"
PASSPHRASE = "four words are hard to guess"
PACKAGES = [Path(package.__file__ or "").parent for package in (icure_async, icure_sync)]


@contextlib.asynccontextmanager
async def no_threads_left() -> AsyncIterator[None]:
    """Use up the threads of anyio, as handlers of an application do that block."""
    limiter = to_thread.current_default_thread_limiter()
    over = threading.Event()
    handlers = [
        asyncio.create_task(to_thread.run_sync(over.wait, 60))
        for _ in range(int(limiter.total_tokens))
    ]
    try:
        while limiter.available_tokens:
            await anyio.lowlevel.checkpoint()
        with anyio.fail_after(45):
            yield
    finally:
        over.set()
        await asyncio.gather(*handlers)


async def test_an_application_that_uses_up_its_threads_stops_nothing(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    builder = anonymous_builder_for(sandbox).with_storage_directory(tmp_path / "app")
    async with no_threads_left():
        async with builder.build() as anonymous:
            login = anonymous.authentication_api
            process = await login.start_authentication(
                recaptcha="solved",
                phone_number=PHONE,
                first_name="Arya",
                last_name="Stark",
                healthcare_professional_id=sandbox.master_hcp.data_owner_id,
            )
            code = await sandbox.wait_for_code("+32588235595")
            result = await login.complete_authentication(process, code)
            async with result.med_tech_api as api:
                created = await api.patient_api.create_or_modify_patient(
                    Patient(first_name="Arya", note="needle")
                )
                assert (await api.patient_api.get_patient(str(created.id))).note == "needle"
                backup = await api.export_keys(PASSPHRASE)
        async with (
            builder_for(sandbox.icure_url, "+32588235595", result.token)
            .with_key_storage(FileKeyStorage(tmp_path / "app" / "keys"))
            .build() as again
        ):
            assert await again.init_user_crypto()
            assert (await again.patient_api.get_patient(str(created.id))).note == "needle"
        encrypted = EncryptedKeyStorage(tmp_path / "new", passphrase=PASSPHRASE)
        owner_id = (await import_key_pairs(encrypted, backup, PASSPHRASE)).data_owner_id
        assert await encrypted.list_key_pairs(owner_id) == list(result.key_pairs)
        assert await export_key_pairs(encrypted, owner_id, PASSPHRASE)
        storage = FileStorage(tmp_path / "state")
        async with storage.lock("a"):
            await storage.set_item("a", "1")
        assert await storage.list_items() == ["a"]
        await storage.remove_item("a")


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from package.rglob("*.py")


def foreign_threads_in(source: str) -> list[str]:
    """Return the calls that take threads of the application."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else ""
        name = function.id if isinstance(function, ast.Name) else name
        limiters = [keyword.value for keyword in node.keywords if keyword.arg == "limiter"]
        if name == "run_sync":
            is_own = bool(limiters) and not isinstance(limiters[0], ast.Constant)
        elif name == "run_in_executor":
            is_own = bool(node.args) and not isinstance(node.args[0], ast.Constant)
        else:
            is_own = name != "to_thread"
        if not is_own:
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def test_no_call_takes_a_thread_of_the_application() -> None:
    checked = list(modules())
    assert len(checked) > 100
    assert {
        str(path): found for path in checked if (found := foreign_threads_in(path.read_text()))
    } == {}


@pytest.mark.parametrize(
    "call",
    [
        "anyio.to_thread.run_sync(work)",
        "run_sync(work, limiter=None)",
        "asyncio.to_thread(work)",
        "loop.run_in_executor(None, work)",
    ],
)
def test_such_a_call_would_be_found(call: str) -> None:
    assert foreign_threads_in(f"async def f():\n    await {call}\n") == [f"line 2: {call}"]


async def test_each_purpose_has_so_many_threads_and_no_more() -> None:
    running = most = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1

    few = threads.Threads("test of the number", 3)
    await asyncio.gather(*(few.run(work) for _ in range(10)))
    assert most == 3
    most = 0
    await asyncio.gather(*(few.run_or_leave(work) for _ in range(10)))
    assert most == 3


async def test_work_in_a_thread_returns_raises_and_sees_the_context() -> None:
    seen = contextvars.ContextVar("seen", default=0)
    seen.set(7)
    assert await threads.STORAGE.run_or_leave(seen.get) == 7

    def fail() -> None:
        raise StopIteration("x")

    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.STORAGE.run_or_leave(fail)


async def test_what_is_left_behind_keeps_no_program_from_ending() -> None:
    over = threading.Event()
    daemons: list[bool] = []

    def stuck() -> None:
        daemons.append(threading.current_thread().daemon)
        over.wait(10)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await threads.STORAGE.run_or_leave(stuck)
    assert threads.STORAGE.limiter().borrowed_tokens == 0
    assert daemons == [True]
    over.set()


async def test_a_system_without_threads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(ICureError, match="No further thread"):
        await threads.STORAGE.run_or_leave(threading.get_ident)
    assert threads.STORAGE.limiter().borrowed_tokens == 0


def test_a_process_forks_when_nothing_is_computed() -> None:
    ended = run_program("""
        from icure_async.threads import CRYPTO

        begun, done = threading.Event(), []

        def work():
            begun.set()
            time.sleep(0.3)
            done.append(os.getpid() == parent)

        def run():
            asyncio.run(CRYPTO.run(work))

        parent = os.getpid()
        thread = threading.Thread(target=run)
        thread.start()
        begun.wait(30)
        child = os.fork()
        if not child:
            signal.alarm(10)
            run()
            say("child", done)
            os._exit(0)
        os.waitpid(child, 0)
        thread.join()
        run()
        say("parent", done)
        """)

    assert ended.lines == ["child [True, False]", "parent [True, True]"], ended.errors


def test_what_is_computed_may_fork_too() -> None:
    ended = run_program("""
        from icure_async.threads import CRYPTO

        def work():
            child = os.fork()
            if not child:
                os._exit(7)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        signal.alarm(10)
        say(asyncio.run(CRYPTO.run(work)))
        """)

    assert ended.lines == ["7"], ended.errors


def test_a_fork_waits_only_so_long_for_what_is_computed() -> None:
    begun, over, after = threading.Event(), threading.Event(), threading.Event()
    gate = threads.ForkGate(0.01)

    def get_stuck() -> None:
        begun.set()
        over.wait(30)

    stuck = threading.Thread(target=gate.run, args=(get_stuck,))
    late = threading.Thread(target=gate.run, args=(after.set,))
    stuck.start()
    assert begun.wait(30)
    gate.close()
    late.start()
    assert not after.wait(0.1)
    gate.open()
    assert after.wait(30)
    over.set()
    stuck.join()
    late.join()
