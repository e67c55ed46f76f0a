"""Explanations for callers who write as in TypeScript, or mistype a name.

Nothing in here is seen by type checkers, which find the same mistakes before a program runs.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from icure_async.errors import ConfigurationError, UnknownNameError, WrongArgumentsError
from icure_async.tracebacks import Unseen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from types import CodeType

__all__ = [
    "OneByOne",
    "alike",
    "awaited",
    "checked_progress",
    "did_you_mean",
    "explained",
    "no_attribute",
]

ItemT = TypeVar("ItemT")
ClassT = TypeVar("ClassT", bound=type)
StateT = TypeVar("StateT")

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ALIKE: Final = 0.75
_MOST_LISTED: Final = 12
_unseen: Final = Unseen(__name__)


def explained(cls: ClassT) -> ClassT:
    """Have a class explain mistaken attributes, and mistaken arguments of what takes keywords."""
    if not hasattr(cls, "__getattr__"):
        setattr(cls, "__getattr__", no_attribute)  # noqa: B010
    for name, member in list(vars(cls).items()):
        is_class_method = isinstance(member, classmethod)
        function: Any = getattr(member, "__func__", member)
        if (name.startswith("_") and name != "__init__") or not _takes_keywords(function):
            continue
        explaining = _explaining(function, cls.__name__ if name == "__init__" else name)
        setattr(cls, name, classmethod(explaining) if is_class_method else explaining)
    return cls


async def awaited(returned: object, receiver: str, consequence: str) -> object:
    """Return what an application's async function answers.

    Args:
        returned: by the call of the function.
        receiver: the name that the function was given to.
        consequence: a sentence for the message.

    Raises:
        ConfigurationError: the function is not async.
    """
    if not inspect.isawaitable(returned):
        raise ConfigurationError(
            f"{receiver} needs an async function, and was given one that returns a "
            f"{type(returned).__name__} at once. {consequence}"
        )
    answer: object = await returned
    return answer


def checked_progress(
    progress: Callable[[StateT], Awaitable[None]] | None, state: type[StateT]
) -> Callable[[StateT], Awaitable[None]] | None:
    """Return a callback that is told how far the work is.

    Args:
        progress: of the application.
        state: the class of its argument.

    Raises:
        ConfigurationError: it can't be called.
    """
    if progress is not None and not callable(progress):
        raise ConfigurationError(
            f"progress must be an async function that takes a {state.__name__}. Nothing was sent."
        )
    return progress


def no_attribute(self: object, name: str) -> NoReturn:
    """Raise for an attribute that an object has not; it is called when there is none."""
    what = f"{type(self).__name__!r} object has no attribute {name!r}"
    # First of all: the attributes used below may be missing as well.
    if not name.startswith("_"):
        own: Iterable[str] = getattr(self, "__dict__", ())
        known = {known for known in (*dir(type(self)), *own) if not known.startswith("_")}
        if name not in known:
            raise UnknownNameError(what + did_you_mean(name, known), name=name, obj=self)
    raise AttributeError(what, name=name, obj=self)


class OneByOne(AsyncGenerator[ItemT, None]):
    """The values of an async generator; awaiting it explains ``async for``.

    Args:
        items: the generator.
        call: the call that made it, for the message.
    """

    def __init__(self, items: AsyncGenerator[ItemT, None], call: str) -> None:
        self._items = items
        self._call = call

    def through(
        self, wrap: Callable[[AsyncGenerator[ItemT, None]], AsyncGenerator[ItemT, None]]
    ) -> OneByOne[ItemT]:
        """Return the same, with something done around each step."""
        return OneByOne(wrap(self._items), self._call)

    async def __anext__(self) -> ItemT:
        return await anext(self._items)

    async def asend(self, value: None) -> ItemT:
        """Take the next step."""
        return await self._items.asend(value)

    async def aclose(self) -> None:
        """Stop; nothing more is yielded."""
        await self._items.aclose()

    async def athrow(self, *error: Any) -> ItemT:
        """Raise an error where the generator stands."""
        return await self._items.athrow(*error)

    if not TYPE_CHECKING:

        def __await__(self) -> NoReturn:
            raise self._mistake("is not awaited")

        def __iter__(self) -> NoReturn:
            raise self._mistake("needs `async for`")

    def _mistake(self, what: str) -> WrongArgumentsError:
        return WrongArgumentsError(
            f"{self._call} gives things one by one and {what}: write "
            f"`async for item in api.{self._call}:`, or `[item async for item in ...]` for a list."
        )


def _takes_keywords(function: Any) -> bool:
    if not inspect.isfunction(function):
        return False
    code: CodeType = inspect.unwrap(function).__code__
    return code.co_kwonlyargcount > 0


def _explaining(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    # Two kinds, since others ask whether a method is async.
    if inspect.iscoroutinefunction(function):
        # A wrapped method takes any arguments, and fails with them too late.
        takes_anything = hasattr(function, "__wrapped__")

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            with _unseen:
                coroutine = None
                if not takes_anything or _fits(function, args, kwargs):
                    with contextlib.suppress(TypeError):
                        coroutine = function(*args, **kwargs)
                if coroutine is None:
                    raise _explanation(function, name, args, kwargs)
                return await coroutine

        return awaited

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with _unseen:
            try:
                return function(*args, **kwargs)
            except TypeError:
                if _fits(function, args, kwargs):
                    raise
            raise _explanation(function, name, args, kwargs)

    return called


def _fits(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _explanation(
    function: Callable[..., Any], name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> WrongArgumentsError:
    # Without the object itself.
    parameters = list(inspect.signature(function).parameters.values())[1:]
    by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    known = [*by_position, *by_name]
    unknown = next((keyword for keyword in kwargs if keyword not in known), None)
    needed = [p.name for p in parameters if p.default is p.empty and p.name not in kwargs]
    missing = [
        needed_name for needed_name in needed if needed_name not in by_position[: len(args) - 1]
    ]
    if unknown is not None:
        problem = f"has no argument {unknown!r}{did_you_mean(unknown, known)}"
    elif len(args) - 1 > len(by_position):
        allowed = f"only {', '.join(by_position)}" if by_position else "nothing"
        problem = f"takes {allowed} by position: write the names of the other arguments."
    elif missing:
        problem = f"needs {missing[0]}."
    else:
        problem = "was given an argument twice."
    named = ", ".join(f"{argument}=" for argument in by_name)
    listed = f" By name it takes: {named}." if len(by_name) <= _MOST_LISTED else ""
    return WrongArgumentsError(f"{name}() {problem}{listed}")


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return the end of a sentence about an unknown name, with the known one that is like it."""
    meant = alike(name, known)
    return "." if meant is None else f". Did you mean {meant!r}?"


def alike(name: str, known: Collection[str]) -> str | None:
    """Return the known name that is most like an unknown one, if one is."""
    # Needed after a mistake only.
    import difflib

    in_snake_case = _HUMP.sub("_", name).lower()
    if in_snake_case in known:
        return in_snake_case
    found = difflib.get_close_matches(in_snake_case, known, n=1, cutoff=_ALIKE)
    return found[0] if found else None
