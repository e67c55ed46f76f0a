"""Sets of ids in the database, found by links (`links`), without reading an entity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.sandbox.store import Transaction

__all__ = ["Query", "between", "exactly", "prefix", "targets_of"]

_LAST: Final = "\U0010ffff"
# SQLite ends a text in JSON at its first NUL; so these go another way.
_VALUE: Final = (
    "replace(replace(t.value, char(65534) || '0', char(0)), char(65534) || '1', char(65534))"
)
# CROSS JOIN: SQLite keeps the order of the tables, so that it never walks along all links.
_PROBE: Final = (
    " AND EXISTS (SELECT 1 FROM json_each(?) t CROSS JOIN links p"  # noqa: S608
    " WHERE p.grp = l.grp AND p.kind = l.kind AND p.relation = ?"
    f" AND p.target = {_VALUE} AND p.id = l.id)"
)
_ONE_PROBE: Final = (
    " AND EXISTS (SELECT 1 FROM links p"
    " WHERE p.grp = l.grp AND p.kind = l.kind AND p.relation = ? AND p.target = ?"
    " AND p.id = l.id)"
)


@attrs.frozen
class Query:
    """The entities of a kind that one link leads to, and others too where `also` says so.

    SQLite walks along the links of the first relation, in the order of ids where all have the same
    target, and looks each id up in the others.
    """

    conditions: str
    parameters: tuple[str, ...]
    tables: str = "links l"

    def also(self, relation: str, targets: Iterable[str]) -> Query:
        """Return those that have a link to one of these targets, too."""
        names = list(targets)
        if len(names) == 1:
            return self._and(_ONE_PROBE, relation, *names)
        return self._and(_PROBE, _as_json(names), relation)

    def containing(self, text: str) -> Query:
        """Return those where the target of the first link contains a text."""
        return self._and(" AND instr(l.target, ?)", text)

    def _and(self, condition: str, *parameters: str) -> Query:
        return attrs.evolve(
            self,
            conditions=self.conditions + condition,
            parameters=(*self.parameters, *parameters),
        )

    def ids(self, tx: Transaction, *, first: str = "", limit: int = -1) -> list[str]:
        """Return ids in ascending order.

        Args:
            tx: the transaction.
            first: the lowest id to return.
            limit: how many to return at most; all if it is negative.
        """
        rows = tx.select(
            f"SELECT DISTINCT l.id FROM {self.tables} WHERE {self.conditions}"  # noqa: S608
            " AND l.grp = ? AND l.id >= ? ORDER BY l.id LIMIT ?",
            (*self.parameters, tx.group, first, limit),
        )
        return [str(row[0]) for row in rows]

    def count(self, tx: Transaction) -> int:
        """Return the number of ids."""
        ((count,),) = tx.select(
            f"SELECT COUNT(DISTINCT l.id) FROM {self.tables}"  # noqa: S608
            f" WHERE {self.conditions} AND l.grp = ?",
            (*self.parameters, tx.group),
        )
        return int(count)


def targets_of(tx: Transaction, kind: str, relation: str, ids: Iterable[str]) -> dict[str, str]:
    """Return the target of each entity's link of one relation."""
    rows = tx.select(
        "SELECT id, target FROM links WHERE grp = ? AND kind = ? AND relation = ?"  # noqa: S608
        f" AND id IN (SELECT {_VALUE} FROM json_each(?) t)",
        (tx.group, kind, relation, _as_json(ids)),
    )
    return {str(entity_id): str(target) for entity_id, target in rows}


def exactly(kind: str, relation: str, *targets: str) -> Query:
    """Return the entities with a link to one of these targets."""
    if len(targets) == 1:
        return Query("l.kind = ? AND l.relation = ? AND l.target = ?", (kind, relation, *targets))
    return Query(
        f"{_VALUE} = l.target AND l.kind = ? AND l.relation = ?",
        (_as_json(targets), kind, relation),
        "json_each(?) t CROSS JOIN links l",
    )


def prefix(kind: str, relation: str, beginning: str) -> Query:
    """Return the entities with a link to a target that begins so."""
    return between(kind, relation, beginning, beginning + _LAST)


def between(kind: str, relation: str, lowest: str, highest: str) -> Query:
    """Return the entities with a link to a target from the lowest to the highest."""
    return Query(
        "l.kind = ? AND l.relation = ? AND l.target BETWEEN ? AND ?",
        (kind, relation, lowest, highest),
    )


def _as_json(texts: Iterable[str]) -> str:
    """Return texts as JSON, to be read as `_VALUE`."""
    escaped = [text.replace("\ufffe", "\ufffe1").replace("\0", "\ufffe0") for text in texts]
    return orjson.dumps(escaped).decode()
