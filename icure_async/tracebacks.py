"""Tracebacks without the frames that only pass calls on."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Unseen"]


class Unseen:
    """Entered around a call, it keeps the frames of some modules out of the error's traceback.

    Args:
        modules: how the names of these modules begin.
        but: how the names of those among them begin that are shown nevertheless.
    """

    __slots__ = ("_but", "_modules")

    def __init__(self, *modules: str, but: tuple[str, ...] = ()) -> None:
        self._modules = modules
        self._but = but

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            error.__traceback__ = self._shown(error.__traceback__)

    def trim(self, error: BaseException) -> None:
        """Take the frames out of the tracebacks of an error and of those it came from."""
        seen: set[int] = set()
        todo: list[BaseException | None] = [error]
        while todo:
            one = todo.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            one.__traceback__ = self._shown(one.__traceback__)
            todo += (one.__cause__, one.__context__)
            if isinstance(one, BaseExceptionGroup):
                todo += cast("BaseExceptionGroup[BaseException]", one).exceptions

    def _shown(self, traceback: TracebackType | None) -> TracebackType | None:
        entries: list[TracebackType] = []
        while traceback is not None:
            entries.append(traceback)
            traceback = traceback.tb_next
        for entry in reversed(entries):
            module = f"{entry.tb_frame.f_globals.get('__name__', '')}."
            if not module.startswith(self._modules) or module.startswith(self._but):
                entry.tb_next, traceback = traceback, entry
        return traceback
