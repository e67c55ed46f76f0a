"""Tables of records: a row for each, for notebooks and for libraries that compute with tables."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.errors import ConfigurationError, ValidationError
from icure_async.mistakes import explained
from icure_async.models.cells import (
    Cell,
    cells_of,
    closed_members,
    is_below,
    list_records,
    require_path,
    sorted_paths,
)
from icure_async.models.dates import DateForm, day_or_moment, form_of, to_datetime
from icure_async.models.display import html_table
from icure_async.models.filters.values import listed
from icure_async.models.json_values import copy_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from icure_async.models.base import Model

__all__ = ["CLOSED", "Table", "html_of_table", "to_table"]

CLOSED: Final = "closed"
"""The column that says of a record that no key on this device opens it."""


@explained
@attrs.frozen(repr=False)
class Table:
    """A table of records, made by :func:`to_table`.

    Notebooks show its content, since that is why it was made; its repr shows the size only.

    Attributes:
        columns: names of the columns, in order.
        rows: a dict for each record; each has all columns, with None where there is no value.
    """

    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame`` with these rows and columns.

        Raises:
            ConfigurationError: pandas is not installed; this SDK does not depend on it.
        """
        try:
            pandas: Any = importlib.import_module("pandas")
        except ImportError:
            raise ConfigurationError(
                "to_pandas() needs pandas, which this SDK does not depend on: pip install pandas. "
                "Without it, `rows` is a tuple of dicts."
            ) from None
        return pandas.DataFrame.from_records(list(self.rows), columns=list(self.columns))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]

    def __repr__(self) -> str:
        return f"Table({len(self.rows)} rows, {len(self.columns)} columns)"

    def _repr_html_(self) -> str:
        return html_of_table(self)


def html_of_table(table: Table) -> str:
    """Return the content of a table as HTML."""
    rows = ([row[name] for name in table.columns] for row in table.rows)
    return html_table(table.columns, rows)


def to_table(
    records: Model | Iterable[Model], columns: Iterable[str] | None = None, *, dates: bool = True
) -> Table:
    """Return records as a table: a row for each, with the names of members in snake_case.

    ``to_table(patients, ["last_name", "date_of_birth", "addresses.0.city"])``

    What lies in other models has a column under its path, such as
    ``addresses.0.telecoms.0.telecom_number``. A patient or a notification that no key on this
    device opens is in the table, too: its column ``closed`` says so.

    Args:
        records: a list of models, or a single one. Of an async iterator, collect them:
            ``[patient async for patient in api.patient_api.filter_patients()]``.
        columns: paths, in the order of the columns; ``addresses`` stands for everything below it.
            By default, all members that one of the records has, but for the revision, secrets of
            users and the keys below ``system_meta_data``, which are there when they are named.
        dates: give fuzzy dates as ``datetime.date``, or None where the month or the day is not
            known, and epoch milliseconds as ``datetime.datetime`` in UTC. With False, all stay the
            integers that they are in the records.

    Raises:
        ValidationError: ``records`` are no records, or have no such column.
    """
    given = list_records(records, "to_table()")
    laid_flat = [(record, list(cells_of(record))) for record in given]
    found = sorted_paths(
        cell
        for _, cells in laid_flat
        for cell in cells
        if columns is not None or not cell.technical
    )
    if columns is None:
        any_closed = any(map(closed_members, given))
        names = [*found, CLOSED] if any_closed else found
    else:
        names = _named(columns, found, {type(record) for record in given})
    return Table(
        tuple(names), tuple(_row(record, cells, names, dates=dates) for record, cells in laid_flat)
    )


def _named(columns: Iterable[str], found: list[str], classes: set[type[Model]]) -> list[str]:
    """Return the paths that columns stand for."""
    names: dict[str, None] = {}
    for column in listed(columns, "columns", "names of members"):
        if not isinstance(column, str):
            raise ValidationError("columns must be names of members, such as 'last_name'.")
        if column == CLOSED:
            names[column] = None
            continue
        require_path(column, classes)
        names |= dict.fromkeys([path for path in found if is_below(path, column)] or [column])
    return list(names)


def _row(record: Model, cells: list[Cell], names: list[str], *, dates: bool) -> dict[str, Any]:
    values = {cell.path: cell for cell in cells}
    row: dict[str, Any] = dict.fromkeys(names)
    for name in names:
        if name in values:
            row[name] = _value_of(values[name], dates=dates)
        elif name == CLOSED:
            row[name] = bool(closed_members(record))
    return row


def _value_of(cell: Cell, *, dates: bool) -> Any:
    if not dates or cell.member.date_form is None:
        return copy_json(cell.value)
    try:
        if form_of(cell.value, cell.member.date_form) is DateForm.MOMENT:
            return to_datetime(cell.value)
        return day_or_moment(cell.value)
    except ValidationError:
        # A backend may have stored anything. No date is better than a wrong one.
        return None
