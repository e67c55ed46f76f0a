"""The sandbox of a session of tests, which runs on the loop thread of icure_sync."""

# Of the same distribution, it uses what the blocking sandbox holds.
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import asyncio
import inspect
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import pytest

import icure_async
import icure_sync
from icure_async.sandbox import Sandbox
from icure_sync._runtime import get_runtime
from icure_sync.sandbox import Sandbox as BlockingSandbox

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping

    from icure_async.models.flavour import Flavour
    from icure_async.sandbox import SandboxPerson

__all__ = ["SessionSandbox", "opened"]

T = TypeVar("T")

_SHOWN = 20
_OF_THE_SESSION = ("start", "aclose")


class SessionSandbox:
    """The sandbox of this session, for tests of all kinds.

    Attributes:
        blocking: for blocking tests.
        awaitable: for async tests.
    """

    def __init__(self, blocking: BlockingSandbox, flavour: Flavour) -> None:
        self.blocking = blocking
        self._inner: Sandbox = blocking._inner
        self.awaitable = cast("Sandbox", _SandboxElsewhere(self._inner))
        self._flavour: Flavour = flavour
        self._is_new = True

    def renew(self) -> None:
        """Bring the sandbox back to the state right after its start."""
        if not self._is_new:
            try:
                _result_of(self._inner.reset())
            except RuntimeError:  # a test has closed it
                _result_of(self._inner.start())
                # Faults, messages and the clock are those of the test that has closed it.
                _result_of(self._inner.reset())
        self._is_new = False

    def used(self) -> SessionSandbox:
        """Return the same one, which somebody may change from now on."""
        self._is_new = False
        return self

    def register(self, kind: Literal["patient", "professional"], **options: Any) -> SandboxPerson:
        """Place a person in the sandbox."""
        return _result_of(self._inner.register(kind, flavour=self._flavour, **options))

    @contextmanager
    def login(self, person: SandboxPerson) -> Generator[icure_sync.MedTechApi]:
        """Log a person in, with its key pair, until the end of the block."""
        builder = self._configured(icure_sync.MedTechApiBuilder(), person)
        with builder.build() as api:
            api.init_user_crypto(person.key_pair)
            yield api

    @asynccontextmanager
    async def async_login(self, person: SandboxPerson) -> AsyncGenerator[icure_async.MedTechApi]:
        """Log a person in, with its key pair, until the end of the block."""
        builder = self._configured(icure_async.MedTechApiBuilder(), person)
        async with builder.build() as api:
            await api.init_user_crypto(person.key_pair)
            yield api

    def _configured(self, builder: _Builder, person: SandboxPerson) -> _Builder:
        return (
            builder.with_flavour(person.flavour)
            .with_icure_base_url(self._inner.icure_url)
            .with_user_name(person.login)
            .with_password(person.token)
            .with_in_memory_keys()
        )

    def last_requests(self) -> str:
        """Return the last requests of a test, a line each, without anything secret."""
        return "\n".join(
            f"{request.status} {request.method} {request.path} ({request.milliseconds:.0f} ms)"
            + (f", fault: {request.fault}" if request.fault else "")
            for request in self._inner.requests()[-_SHOWN:]
        )


_Builder = TypeVar("_Builder", icure_async.MedTechApiBuilder, icure_sync.MedTechApiBuilder)


class _SandboxElsewhere:
    """A sandbox whose event loop is not the caller's: what is awaited runs in its own."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    # For isinstance(): helpers of tests may ask for a Sandbox.
    __class__ = cast("Any", property(lambda _: Sandbox))

    def __repr__(self) -> str:
        return repr(self._sandbox)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._sandbox, name)
        if not inspect.iscoroutinefunction(value):
            return value
        if name in _OF_THE_SESSION:
            raise AttributeError(f"{name}(): this sandbox runs until the session of tests ends")

        async def call(*args: Any, **kwargs: Any) -> Any:
            future = asyncio.run_coroutine_threadsafe(value(*args, **kwargs), get_runtime().loop)
            return await asyncio.wrap_future(future)

        return call


def _result_of(coroutine: Coroutine[Any, Any, T]) -> T:
    # Not by the blocking twin: a fixture may well block a loop that happens to run in this thread.
    return asyncio.run_coroutine_threadsafe(coroutine, get_runtime().loop).result()


@contextmanager
def opened(config: pytest.Config, options: Mapping[str, Any]) -> Generator[SessionSandbox]:
    """Run a sandbox as the ini file and a fixture of the user's say."""
    flavour = _flavour(config.getini("icure_flavour"))
    try:
        sandbox = BlockingSandbox(**{**_options_of(config), **options})
        sandbox.start()
    except ImportError as error:
        pytest.fail(
            f"The iCure fixtures need their extra: pip install 'icure-async[testing]' ({error})",
            pytrace=False,
        )
    except (OSError, TypeError, ValueError) as error:
        pytest.fail(f"The iCure sandbox did not start: {error}", pytrace=False)
    try:
        yield SessionSandbox(sandbox, flavour)
    finally:
        sandbox.close()


def _flavour(text: str) -> Flavour:
    if text in ("", "medtech"):
        return "medtech"
    if text == "cardinal":
        return "cardinal"
    pytest.fail(f"icure_flavour must be medtech or cardinal, not {text!r}", pytrace=False)


def _options_of(config: pytest.Config) -> dict[str, Any]:
    ini: Callable[[str], Any] = config.getini
    options: dict[str, Any] = {}
    if ini("icure_sandbox_profile"):
        options["profile"] = ini("icure_sandbox_profile")
    if ini("icure_sandbox_seed"):
        options["seed"] = (config.inipath or Path()).parent / ini("icure_sandbox_seed")
    if ini("icure_sandbox_random_seed"):
        options["random_seed"] = _number(ini("icure_sandbox_random_seed"))
    if ini("icure_sandbox_codes"):
        options["codes"] = dict(map(_contact_and_code, ini("icure_sandbox_codes")))
    return options


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        pytest.fail(f"icure_sandbox_random_seed must be a number, not {text!r}", pytrace=False)


def _contact_and_code(line: str) -> tuple[str, str]:
    contact, separator, code = (part.strip() for part in line.partition("="))
    if not (separator and contact and code):
        pytest.fail("Each line of icure_sandbox_codes must be CONTACT=CODE", pytrace=False)
    return contact, code
