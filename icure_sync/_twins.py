"""The base of every generated class."""

# Twins have no public names of their own: public names are those of the async classes.
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import warnings
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, ParamSpec, Self, TypeVar, cast

from icure_async.mistakes import explained
from icure_sync._callers import check_caller
from icure_sync._iterators import entered, iterate
from icure_sync._jobs import on_its_own, unseen
from icure_sync._runtime import check_pid, close_at_exit, lock, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from icure_sync._iterators import ClosableIterator

__all__ = ["Twin"]

A = TypeVar("A")
T = TypeVar("T")
P = ParamSpec("P")
TwinT = TypeVar("TwinT", bound="Twin[Any]")

_GENERATED: Final = "icure_sync._generated."
_known: weakref.WeakValueDictionary[int, Twin[Any]] = weakref.WeakValueDictionary()


class Twin(Generic[A]):
    """Base of every generated class: holds the async object, and blocks on its calls.

    A subclass with a constructor of its own calls ``super().__init__(inner)``.
    """

    __slots__ = ("__weakref__", "_inner", "_pid")

    _portable: ClassVar[bool] = False
    """True if it serves in a forked process, too."""

    _inner: A
    _pid: int | None
    """The process it belongs to, None for any."""

    def __init__(self, inner: A) -> None:
        self._hold(inner)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Those that users derive have mistakes of their own.
        if cls.__module__.startswith(_GENERATED):
            explained(cls)

    def _hold(self, inner: A, pid: int | None = None) -> None:
        self._inner = inner
        self._pid = None if self._portable else pid or os.getpid()
        _known[id(inner)] = self
        if hasattr(type(inner), "__aexit__"):
            # Somebody may hold the inner object when nobody holds the twin. That it was left open
            # is certain when both are garbage, so they become so together.
            with contextlib.suppress(AttributeError):
                object.__setattr__(inner, "_blocking_twin", self)
            close_at_exit(self)

    @classmethod
    def _wrap(cls, inner: A, *, pid: int | None = None) -> Self:
        """Return the twin of an async object, the same one as long as it is in use.

        Args:
            inner: the async object.
            pid: the process it was made in; by default this one.
        """
        with lock:
            known = _known.get(id(inner))
            if isinstance(known, cls) and known._inner is inner:
                return known
            twin = cls.__new__(cls)
            twin._hold(inner, pid)
            return twin

    @classmethod
    def _unwrap(cls, twin: object) -> Any:
        """Return the async object of a twin; anything else as it is, for the callee to refuse."""
        if not isinstance(twin, cls):
            return twin
        twin._check_process()
        return twin._inner

    @classmethod
    def _made_by(cls, method: str, *args: Any, **kwargs: Any) -> Self:
        """Return the twin of what a class method of the async class makes.

        Args:
            method: its name. It gets the object that our own constructor has made instead of making
                one: a subclass may have set options there.
            args: its positional arguments.
            kwargs: its keyword arguments.
        """
        twin = cast("Callable[[], Self]", cls)()
        function = getattr(type(twin._inner), method).__func__
        function(lambda: twin._inner, *args, **kwargs)
        return twin

    def __copy__(self) -> Self:
        # An object without a connection is a value; the rest can only be shared.
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._hold(copy.copy(self._inner) if self._portable else self._inner, self._pid)
        return twin

    def _check_process(self) -> None:
        """Refuse to be used in a process that was forked since this was made."""
        if self._pid != os.getpid():
            check_pid(self._pid, f"This {type(self).__name__}")

    def _check_caller(self, function: Callable[..., object]) -> None:
        # An object without a connection waits for nobody, nor does entering a block.
        if not self._portable and getattr(function, "__name__", "") != "__aenter__":
            check_caller(self._inner)

    def _call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a plain function here, unless the process was forked since this was made."""
        __tracebackhide__ = True
        with unseen:
            self._check_process()
            return function(*args, **kwargs)

    def _run(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call :func:`run`, unless the process was forked since this was made."""
        __tracebackhide__ = True
        with unseen:
            self._check_process()
            self._check_caller(function)
            return run(function, *args, **kwargs)

    def _next(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call :func:`run` for the next item of an iterator."""
        __tracebackhide__ = True
        try:
            return self._run(function, *args, **kwargs)
        except StopAsyncIteration:
            pass
        raise StopIteration

    def _close(
        self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Close the async object, unless that is the business of the parent process.

        A forked child leaves the ``with`` blocks of its parent, too, whatever it does.
        """
        __tracebackhide__ = True
        with unseen:
            if self._pid is None or self._pid == os.getpid():
                on_its_own(run, function, *args, **kwargs)

    def _iterate(
        self, function: Callable[P, AsyncIterable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> ClosableIterator[T]:
        """Call :func:`iterate`, unless the process was forked since this was made."""
        __tracebackhide__ = True
        self._check_process()
        items = iterate(function, *args, **kwargs)
        # Making it blocks nobody; each step does.
        items.before_step = partial(self._check_caller, function)
        return items

    def _enter(
        self,
        function: Callable[P, AbstractAsyncContextManager[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AbstractContextManager[T]:
        """Call :func:`entered`, unless the process was forked since this was made."""
        self._check_process()
        return entered(function, *args, **kwargs)

    def _enter_twin(
        self,
        twin: type[TwinT],
        function: Callable[P, AbstractAsyncContextManager[Any]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AbstractContextManager[TwinT]:
        """Call :func:`entered` for what gives an async object, of which the block gets the twin."""
        self._check_process()
        wrap: Callable[[Any], TwinT] = twin._wrap
        return entered(function, *args, **kwargs).through(wrap)

    def _overrides(self, method: str) -> bool:
        """Return whether a subclass of the generated class, or this object, has its own method."""
        generated = next(cls for cls in type(self).__mro__ if cls.__module__.startswith(_GENERATED))
        ours, theirs = (inspect.getattr_static(one, method, None) for one in (self, generated))
        return ours is not theirs

    def _is_open(self) -> bool:
        """Return whether the async object is one that has to be closed, and was not."""
        closed = getattr(self._inner, "_closed", None)
        if isinstance(closed, bool):
            return not closed
        return getattr(self._inner, "_runner", None) is not None

    def _warn_if_open(self) -> None:
        """Give a ``ResourceWarning`` if the async object was left open."""
        if getattr(self, "_pid", None) != os.getpid() or not self._is_open():
            return
        name = type(self).__name__
        warnings.warn(
            f"A {name} was not closed: use it in a with statement, or call its close().",
            ResourceWarning,
            source=self,
            stacklevel=3,
        )

    def __del__(self) -> None:
        self._warn_if_open()

    def __repr__(self) -> str:
        name, text = type(self).__name__, repr(self._inner)
        of_inner = type(self._inner).__name__
        for opening in ("", "<"):
            if text.startswith(opening + of_inner):
                return opening + name + text.removeprefix(opening + of_inner)
        return f"<{name}>"
