"""Ctrl-C, forks and the interpreter's exit, each in an interpreter of its own."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from icure_sync._runtime import EXIT_SECONDS
from tests.support.interpreters import SLOW_IMPORT, Program, run_program

# Seconds that the machine may take on top of those that the runtime allows itself.
SLACK_SECONDS = 2.0

CLIENT = """
from icure_sync._iterators import iterate
from icure_sync._plain import adapt
from icure_sync._runtime import run
from icure_sync._twins import Twin

class AsyncClient:
    def __init__(self):
        self._closed = False
    def __repr__(self):
        return "AsyncClient(url='x')"
    async def where(self):
        return threading.current_thread().name
    async def count(self):
        for number in range(3):
            yield number
    async def __aenter__(self):
        return self
    async def __aexit__(self, *_):
        await anyio.sleep(0.01)
        self._closed = True
        say("connection closed")

class Client(Twin[AsyncClient]):
    def where(self):
        return self._run(self._inner.where)
    def count(self):
        return self._iterate(self._inner.count)
    def __enter__(self):
        self._run(self._inner.__aenter__)
        return self
    def __exit__(self, *details):
        self._close(self._inner.__aexit__, *details)

class Stuck:
    def get(self):
        say("stuck")
        time.sleep(60)
"""


def test_nothing_is_written_after_ctrl_c(tmp_path: Path) -> None:
    program = Program(f"""
        from icure_sync._runtime import run
        target = Path({str(tmp_path / "record")!r})

        async def write_later():
            try:
                say("running")
                await anyio.sleep(0.5)
                target.write_text("written")
            finally:
                await anyio.sleep(0.05)
                say("cleaned up")

        try:
            run(write_later)
        except KeyboardInterrupt:
            say("interrupted")
        time.sleep(0.7)
        say("a call still works:", run(anyio.sleep, 0))
        """)
    assert program.read_line() == "running"
    program.press_ctrl_c()
    ended = program.wait()

    assert ended.lines == ["cleaned up", "interrupted", "a call still works: None"], ended.errors
    assert not (tmp_path / "record").exists()


def test_a_second_ctrl_c_does_not_wait() -> None:
    program = Program("""
        from icure_sync._runtime import run

        async def work():
            try:
                say("running")
                await anyio.sleep(60)
            finally:
                say("cleaning up")
                await anyio.sleep(60)

        try:
            run(work)
        except KeyboardInterrupt:
            say("interrupted")
        """)
    assert program.read_line() == "running"
    program.press_ctrl_c()
    assert program.read_line() == "cleaning up"
    program.press_ctrl_c()
    ended = program.wait()

    assert ended.lines == ["interrupted"], ended.errors
    assert ended.exit_code == 0
    assert ended.seconds_after_last_line < EXIT_SECONDS + SLACK_SECONDS


ABANDONED = """
from icure_sync._iterators import iterate

async def items():
    try:
        yield 1
    finally:
        say("cleaning up")
        try:
            await anyio.sleep(60)
        finally:
            say("cleaned up")

def take_one(before_the_end=lambda: None):
    for _ in iterate(items):
        before_the_end()
        break
    say("went on")
"""


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_an_abandoned_iterator_is_closed_is_not_lost(
    signal_number: signal.Signals,
) -> None:
    program = Program(f"""{ABANDONED}
def end(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, end)
try:
    take_one()
except KeyboardInterrupt:
    say("interrupted")
""")
    assert program.read_line() == "cleaning up"
    program.send(signal_number)
    ended = program.wait()

    assert ended.lines == ["cleaned up", "interrupted"], ended.errors
    assert ended.errors == ""


def test_a_signal_as_the_closing_of_an_abandoned_iterator_begins_is_not_lost() -> None:
    program = Program(f"""{ABANDONED}
from icure_sync._runtime import Runtime

post = Runtime.post

def interrupted(self, function):
    Runtime.post = post
    post(self, function)
    raise KeyboardInterrupt

def interrupt_the_next():
    Runtime.post = interrupted

try:
    take_one(interrupt_the_next)
except KeyboardInterrupt:
    say("interrupted")
""")
    ended = program.wait()

    assert "interrupted" in ended.lines, ended.errors
    assert "went on" not in ended.lines
    assert ended.errors == ""


CALLBACK = """
from icure_sync._iterators import iterate
from icure_sync._plain import callback
from icure_sync._runtime import run

async def write():
    try:
        say("writing")
        await anyio.sleep(60)
        say("written")
    finally:
        say("cleaned up")

async def tidy():
    say("tidied")

async def numbers():
    try:
        say("counting")
        yield 1
        await anyio.sleep(60)
        yield 2
    finally:
        say("closed")

def go():
    try:
        run(callback(call_back))
    except KeyboardInterrupt:
        say("interrupted")
    say("a call still works:", run(anyio.sleep, 0))
"""


def test_ctrl_c_ends_the_call_that_a_plain_callback_makes_but_not_its_cleanup() -> None:
    program = Program(
        CALLBACK
        + """
def call_back():
    try:
        run(write)
    except Exception as error:
        say(type(error).__name__)
        raise
    finally:
        run(tidy)

go()
"""
    )
    assert program.read_line() == "writing"
    program.press_ctrl_c()
    ended = program.wait()

    assert ended.lines == [
        "cleaned up",
        "CancelledError",
        "tidied",
        "interrupted",
        "a call still works: None",
    ], ended.errors


@pytest.mark.parametrize("call", ["run(write)", "list(iterate(numbers))"])
def test_ctrl_c_while_a_plain_callback_computes_ends_its_next_call(call: str) -> None:
    program = Program(
        CALLBACK
        + f"""
def call_back():
    say("computing")
    time.sleep(0.5)
    try:
        {call}
    except Exception as error:
        say(type(error).__name__)
    run(tidy)

go()
"""
    )
    assert program.read_line() == "computing"
    program.press_ctrl_c()
    ended = program.wait()

    assert ended.lines == [
        "CancelledError",
        "tidied",
        "interrupted",
        "a call still works: None",
    ], ended.errors


def test_ctrl_c_ends_the_iteration_of_a_plain_callback() -> None:
    program = Program(
        CALLBACK
        + """
def call_back():
    with iterate(numbers) as items:
        for item in items:
            say(item)

go()
"""
    )
    assert [program.read_line(), program.read_line()] == ["counting", "1"]
    program.press_ctrl_c()
    ended = program.wait()

    assert ended.lines == ["closed", "interrupted", "a call still works: None"], ended.errors


def test_what_a_plain_callback_opens_is_closed_after_ctrl_c() -> None:
    program = Program(
        CLIENT
        + CALLBACK
        + """
def call_back():
    with Client(AsyncClient()) as client:
        say("computing")
        time.sleep(0.5)

go()
"""
    )
    assert program.read_line() == "computing"
    program.press_ctrl_c()
    ended = program.wait()

    assert ended.lines[:2] == ["connection closed", "interrupted"], ended.errors
    assert ended.errors == ""


def test_the_calls_of_what_outlives_an_interrupted_callback_go_on() -> None:
    program = Program(
        CALLBACK
        + """
from contextvars import copy_context
released = threading.Event()

def work():
    released.wait(10)
    run(tidy)

def call_back():
    threads.append(threading.Thread(target=copy_context().run, args=(work,)))
    threads[0].start()
    say("computing")
    time.sleep(0.5)

threads = []
go()
released.set()
threads[0].join()
"""
    )
    assert program.read_line() == "computing"
    program.press_ctrl_c()
    ended = program.wait()

    assert ended.lines == ["interrupted", "a call still works: None", "tidied"], ended.errors
    assert ended.errors == ""


def test_two_signals_at_once_abort_the_call_too() -> None:
    wrote = 0
    for _ in range(5):
        program = Program("""
            from icure_sync._runtime import run

            def leave(*_):
                raise SystemExit(3)

            async def work():
                say("running")
                await anyio.sleep(0.5)
                say("written")

            signal.signal(signal.SIGTERM, leave)
            try:
                run(work)
            except BaseException:
                pass
            time.sleep(0.7)
            """)
        assert program.read_line() == "running"
        program.press_ctrl_c()
        program.send(signal.SIGTERM)
        wrote += "written" in program.wait().lines
    # A signal between two lines of Python can't be ruled out.
    assert wrote <= 1


def test_ctrl_c_that_nobody_catches_ends_the_program() -> None:
    program = Program("""
        from icure_sync._runtime import run

        async def work():
            say("running")
            await anyio.sleep(60)

        run(work)
        """)
    assert program.read_line() == "running"
    program.press_ctrl_c()
    ended = program.wait()

    assert "KeyboardInterrupt" in ended.errors
    assert ended.exit_code != 0
    assert ended.seconds_after_last_line < EXIT_SECONDS + SLACK_SECONDS


def test_a_forked_child_gets_a_clear_error_and_can_begin_anew() -> None:
    ended = run_program(
        CLIENT
        + """
from icure_async.errors import ICureError
client = Client(AsyncClient())
numbers = client.count()
next(numbers)
before = client.where()
child = os.fork()
if not child:
    signal.alarm(10)
    for call in (client.where, client.count, lambda: next(numbers), lambda: adapt(client, ())):
        try:
            call()
        except ICureError as error:
            say(error)
    numbers.close()
    with Client(AsyncClient()) as fresh:
        say("child:", fresh.where(), list(fresh.count()))
    del client, numbers
    gc.collect()
    sys.exit(0)
say("child exited with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
say("parent:", client.where(), list(numbers))
client.__exit__()
"""
    )

    assert len(ended.lines) == 9, ended.errors
    assert all("before os.fork()" in line for line in ended.lines[:4])
    assert [line.split()[1] for line in ended.lines[:4]] == [
        "Client", "Client", "iterator", "Client",
    ]  # fmt: skip
    assert ended.lines[4:] == [
        "child: icure_sync [0, 1, 2]",
        "connection closed",
        "child exited with 0",
        "parent: icure_sync [1, 2]",
        "connection closed",
    ]
    assert ended.errors == ""


@pytest.mark.parametrize(
    "module",
    [
        pytest.param("anyio._backends._asyncio", id="on the loop thread"),
        pytest.param("icure_async.crypto.software", id="in a worker thread"),
    ],
)
def test_a_child_that_is_forked_while_its_parent_begins_can_begin_too(module: str) -> None:
    ended = run_program(
        SLOW_IMPORT
        + f"""
from icure_sync import MedTechApiBuilder
from icure_sync.storage import MemoryKeyStorage

def build():
    builder = MedTechApiBuilder().with_icure_base_url("http://127.0.0.1:9")
    builder.with_user_name("ned").with_password("winter").with_key_storage(MemoryKeyStorage())
    with builder.build() as api:
        say(os.getpid() == parent, type(api).__name__)

parent = os.getpid()
importing = slow_down({module!r})
building = threading.Thread(target=build)
building.start()
importing.wait(30)
child = os.fork()
if not child:
    signal.alarm(10)
    build()
    os._exit(0)
say("child exited with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
building.join()
"""
    )

    assert sorted(ended.lines) == [
        "False MedTechApi", "True MedTechApi", "child exited with 0",
    ], ended.errors  # fmt: skip


@pytest.mark.parametrize("blocking", ["over.wait", "os.fork"])
def test_a_fork_waits_only_so_long_for_the_loop_thread(blocking: str) -> None:
    """It may be stuck, or be what forks."""
    ended = run_program(f"""
        from icure_sync._runtime import run

        over, inside = threading.Event(), threading.Event()

        async def block():
            inside.set()
            if {blocking!r} == "over.wait":
                over.wait(30)
            elif not os.fork():
                os._exit(0)

        blocked = threading.Thread(target=run, args=(block,))
        blocked.start()
        inside.wait(30)
        if not os.fork():
            signal.alarm(10)
            run(anyio.sleep, 0)
            say("child")
            os._exit(0)
        over.set()
        blocked.join()
        for _ in range(1 if {blocking!r} == "over.wait" else 2):
            assert os.wait()[1] == 0
        run(anyio.sleep, 0)
        say("parent")
        """)

    assert ended.lines == ["child", "parent"], ended.errors


def test_a_forked_child_can_leave_the_with_blocks_of_its_parent() -> None:
    ended = run_program(
        CLIENT
        + """
with Client(AsyncClient()) as client, client.count() as numbers:
    next(numbers)
    child = os.fork()
    if not child:
        signal.alarm(10)
        sys.exit(7)
    say("child exited with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    say("parent:", client.where(), list(numbers))
"""
    )

    assert ended.lines == [
        "child exited with 7",
        "parent: icure_sync [1, 2]",
        "connection closed",
    ], ended.errors
    assert ended.errors == ""


def test_what_a_forked_child_drops_still_works_in_the_parent() -> None:
    ended = run_program("""
        from icure_sync._runtime import run

        async def echo(reader, writer):
            while line := await reader.readline():
                writer.write(line)
            writer.close()

        async def connect():
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            return server, *await asyncio.open_connection(*server.sockets[0].getsockname())

        async def talk():
            with anyio.fail_after(5):
                writer.write(b"hello\\n")
                return (await reader.readline()).decode().strip()

        server, reader, writer = run(connect)
        say(run(talk))
        child = os.fork()
        if not child:
            # As the garbage collector does with the transports of an open client.
            writer.transport.abort()
            server.close()
            os._exit(0)
        os.waitpid(child, 0)
        say(run(talk))

        async def close():
            writer.close()
            server.close()

        run(close)
        """)

    assert ended.lines == ["hello", "hello"], ended.errors


def test_an_open_client_is_named_and_closed_at_exit() -> None:
    ended = run_program(
        CLIENT + "client = Client(AsyncClient()); say(client.where())", "-W", "default"
    )

    assert ended.lines == ["icure_sync", "connection closed"]
    assert "ResourceWarning: A Client was not closed" in ended.errors
    assert ended.errors.count("not closed") == 1
    assert ended.exit_code == 0
    assert ended.seconds_after_last_line < EXIT_SECONDS + SLACK_SECONDS


def test_an_open_client_is_closed_at_exit_even_where_warnings_are_errors() -> None:
    ended = run_program(CLIENT + "client = Client(AsyncClient()); say(client.where())")

    assert ended.lines == ["icure_sync", "connection closed"]
    assert "A Client was not closed" in ended.errors
    assert ended.exit_code == 0


def test_a_closed_client_leaves_no_word_at_exit() -> None:
    ended = run_program(CLIENT + "with Client(AsyncClient()) as client: say(client.where())")

    assert ended.lines == ["icure_sync", "connection closed"]
    assert (ended.errors, ended.exit_code) == ("", 0)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param("run(say_and(anyio.sleep, 60))", id="a call"),
        pytest.param("run(say_and(asyncio.to_thread, time.sleep, 60))", id="in the executor"),
        pytest.param("run(adapt(Stuck(), ('get',)).get)", id="in a plain callback"),
        pytest.param("run(say_and(stubborn))", id="that ignores its cancellation"),
        pytest.param("run(say_and(block))", id="that blocks the loop thread"),
    ],
)
def test_the_exit_is_bounded_while_a_call_runs(call: str) -> None:
    ended = run_program(
        CLIENT
        + f"""
def say_and(function, *args):
    async def call():
        say("stuck")
        await function(*args)
    return call

async def block():
    time.sleep(60)

async def stubborn():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

def work():
    try:
        {call}
    except BaseException as error:
        pass

threading.Thread(target=work, daemon=True).start()
time.sleep(0.5)
say("end")
"""
    )

    assert ended.lines == ["stuck", "end"], ended.errors
    assert ended.exit_code == 0, ended.errors
    assert ended.seconds_after_last_line < EXIT_SECONDS + SLACK_SECONDS


def test_threads_that_outlive_the_main_thread_finish_their_calls() -> None:
    ended = run_program(
        CLIENT
        + """
def work():
    for _ in range(3):
        run(anyio.sleep, 0.1)
    if sys.version_info[:2] != (3, 12):  # That starts no thread once the main thread has ended.
        run(anyio.to_thread.run_sync, time.sleep, 0.1)
        run(resolve)
    say("finished")

async def resolve():
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)

run(anyio.sleep, 0)
threading.Thread(target=work).start()
"""
    )

    assert ended.lines == ["finished"], ended.errors
    assert (ended.errors, ended.exit_code) == ("", 0)


def test_exit_handlers_can_call_until_the_runtime_has_ended() -> None:
    ended = run_program(
        CLIENT
        + """
def late():
    for call in (client.where, lambda: next(numbers)):
        try:
            call()
        except Exception as error:
            say(type(error).__name__, error)

atexit.register(late)
client = Client(AsyncClient())
numbers = client.count()
next(numbers)
client.where()
atexit.register(client.__exit__)
"""
    )

    assert ended.lines[0] == "connection closed", ended.errors
    assert len(ended.lines) == 3, ended.errors
    for line in ended.lines[1:]:
        assert line.startswith("ConfigurationError The interpreter is exiting")


@pytest.mark.parametrize("function", ["anyio.sleep", "block"])
def test_a_running_call_is_told_that_the_interpreter_exits(function: str) -> None:
    ended = run_program(
        CLIENT
        + """
told = threading.Event()

async def block(seconds):
    time.sleep(seconds)

def work():
    try:
        run(FUNCTION, 60)
    except Exception as error:
        say(type(error).__name__, error)
    told.set()

run(anyio.sleep, 0)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
atexit.unregister(_at_exit := __import__("icure_sync._runtime")._runtime._at_exit)
atexit.register(told.wait, 5)
atexit.register(_at_exit)
""".replace("FUNCTION", function)
    )

    assert len(ended.lines) == 1, ended.errors
    assert ended.lines[0].startswith("ConfigurationError The interpreter is exiting")


def test_threads_that_were_replaced_after_the_import_are_refused() -> None:
    """As gevent does it where a server imports the application before it patches."""
    ended = run_program(
        CLIENT
        + """
import _thread
from icure_sync.errors import ConfigurationError

real = _thread.start_new_thread
_thread.start_new_thread = lambda *arguments: real(*arguments)
try:
    Client(AsyncClient()).where()
except ConfigurationError as error:
    say(error)
"""
    )
    assert len(ended.lines) == 1, ended.errors
    assert "before the first import of icure_sync" in ended.lines[0]
