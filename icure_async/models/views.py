"""Views of records that show their content. The reprs of records never do."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.errors import ValidationError
from icure_async.models.base import EntityModel, Model
from icure_async.models.cells import Cell, cells_of, closed_members, list_records, sorted_paths
from icure_async.models.dates import DateForm, day_or_moment, form_of, known_parts, to_datetime
from icure_async.models.display import MOST_ROWS, html_of, html_pairs, html_table, text_of
from icure_async.models.tables import Table, html_of_table

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Revealed", "reveal"]

_NOT_SHOWN: Final = "(a secret, not shown)"
_CLOSED: Final = "(closed: no key on this device opens it)"
_UNKNOWN: Final = {1: " (month and day unknown)", 2: " (day unknown)", 3: ""}

_Pairs = list[tuple[str, str]]


@attrs.frozen(repr=False, eq=False)
class Revealed:
    """A view of records that shows what is in them, made by :func:`reveal`.

    It has no public members: let a notebook show it, or print it.
    """

    _records: tuple[Model, ...]
    _table: Table | None = None

    def __repr__(self) -> str:
        if self._table is not None:
            pairs = [[(name, text_of(row[name])) for name in row] for row in self._table]
            return _blocks([("", row) for row in pairs])
        return _blocks([(_title(record), _pairs_of(record)) for record in self._records])

    def _repr_html_(self) -> str:
        if self._table is not None:
            return html_of_table(self._table)
        if len(self._records) == 1:
            (record,) = self._records
            return f"<p><b>{html_of(_title(record))}</b></p>{html_pairs(_pairs_of(record))}"
        return _table_of(self._records)


def reveal(records: Model | Table | Iterable[Model]) -> Revealed:
    """Return a view of records that shows what is in them, for a notebook or a shell.

    ``reveal(patient)`` as the last line of a cell shows the patient, and ``print(reveal(patient))``
    prints it. The records themselves keep to a repr without content, so that none ends up in a log.
    Members that no key on this device opens are shown as closed; keys, revisions and secrets of
    users are not shown. A notebook that is saved holds what it shows: clear its outputs before you
    pass it on.

    Args:
        records: a model such as a Patient, a list of models, or what ``to_table()`` returned.

    Raises:
        ValidationError: they are something else.
    """
    if isinstance(records, Table):
        return Revealed((), records)
    return Revealed(tuple(list_records(records, "reveal()")))


def _title(record: Model) -> str:
    name = type(record).__name__
    identity = f" {record.id}" if isinstance(record, EntityModel) else ""
    return text_of(f"{name}{identity}")


def _pairs_of(record: Model) -> _Pairs:
    cells = [cell for cell in cells_of(record) if _is_shown(cell)]
    pairs = [(text_of(cell.path), _text_of(cell)) for cell in cells]
    return [*pairs, *((name, _CLOSED) for name in closed_members(record))]


def _is_shown(cell: Cell) -> bool:
    return cell.member.secret or not cell.technical


def _text_of(cell: Cell) -> str:
    if cell.member.secret:
        return _NOT_SHOWN
    if cell.member.date_form is None:
        return text_of(cell.value)
    return _date_text(cell.value, cell.member.date_form)


def _date_text(value: Any, form: DateForm) -> str:
    if form_of(value, form) is DateForm.MOMENT:
        try:
            moment = to_datetime(value)
        except ValidationError:
            return text_of(value)
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    parts = known_parts(value)
    if parts is None:
        return text_of(value)
    day = day_or_moment(value)
    if isinstance(day, dt.datetime):
        return f"{day:%Y-%m-%d %H:%M:%S}"
    return "-".join(f"{part:02}" for part in parts) + _UNKNOWN[len(parts)]


def _blocks(blocks: list[tuple[str, _Pairs]]) -> str:
    shown = ["\n".join(_lines(title, pairs)) for title, pairs in blocks[:MOST_ROWS]]
    more = len(blocks) - len(shown)
    return "\n\n".join([*shown, f"… and {more:,} more"] if more else shown)


def _lines(title: str, pairs: _Pairs) -> Iterable[str]:
    if title:
        yield title
    width = max((len(name) for name, _ in pairs), default=0)
    for name, text in pairs:
        # Further lines of a text stand below its first.
        below = "\n" + " " * (width + 4)
        yield f"  {name:{width}}  {text.replace(chr(10), below)}"


def _table_of(records: tuple[Model, ...]) -> str:
    cells = (cell for record in records for cell in cells_of(record))
    columns = sorted_paths(cell for cell in cells if _is_shown(cell))
    rows = [dict(_pairs_of(record)) for record in records]
    closed = {name: None for record in records for name in closed_members(record)}
    names = [*columns, *(name for name in closed if name not in columns)]
    return html_table(names, ([row.get(name) for name in names] for row in rows))
