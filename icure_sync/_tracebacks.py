"""What a traceback shows of a blocking call: the caller's line and the SDK's, no plumbing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["trim", "trimmed_traceback"]


class _TrimmedTraceback:
    """See :data:`trimmed_traceback`."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_value is not None:
            exc_value.__traceback__ = _without_plumbing(exc_value.__traceback__)


trimmed_traceback: Final = _TrimmedTraceback()
"""Entered around a blocking call, it also removes the frames between that line and the SDK's."""


def trim(error: BaseException) -> None:
    """Take the plumbing out of the tracebacks of an error and of those it came from."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = _without_plumbing(one.__traceback__)
        todo += (one.__cause__, one.__context__)
        if isinstance(one, BaseExceptionGroup):
            todo += cast("BaseExceptionGroup[BaseException]", one).exceptions


def _without_plumbing(traceback: TracebackType | None) -> TracebackType | None:
    first = traceback
    while first is not None and _is_plumbing(first):
        first = first.tb_next
    kept = first
    while kept is not None:
        following = kept.tb_next
        while following is not None and _is_plumbing(following):
            following = following.tb_next
        kept.tb_next = following
        kept = following
    return first


_PLUMBING: Final = ("icure_sync._", "anyio.", "concurrent.futures.")
_NO_PLUMBING: Final = ("icure_sync._generated.",)


def _is_plumbing(traceback: TracebackType) -> bool:
    module = f"{traceback.tb_frame.f_globals.get('__name__', '')}."
    return module.startswith(_PLUMBING) and not module.startswith(_NO_PLUMBING)
