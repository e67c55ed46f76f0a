"""The records of the sandbox as they are stored, for its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox.errors import bad_request, not_found
from icure_async.sandbox.store import KINDS
from icure_async.sandbox.users import without_secrets

if TYPE_CHECKING:
    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["counts", "list_records", "read_record"]

_MOST: Final = 1000
_DEFAULT: Final = 100


def list_records(tx: Transaction, call: Call) -> Json:
    """Answer with the stored records of a kind by ascending id, or with the numbers of all kinds.

    The records of a page come after the id ``after``; ``next`` is what to ask for then.
    """
    group = _group(tx, call)
    kind = call.query.get("kind")
    if not kind:
        return {"group": group.group_id, "kinds": counts(group)}
    _check_kind(kind)
    limit = call.integer_query("limit")
    if limit is None:
        limit = _DEFAULT
    if not 1 <= limit <= _MOST:
        raise bad_request(f"limit must be from 1 to {_MOST}")
    records = group.page_of_everything(kind, call.query.get("after", ""), limit + 1)
    has_more = len(records) > limit
    records = records[:limit]
    return {
        "group": group.group_id,
        "kind": kind,
        "records": [_shown(kind, record) for record in records],
        "next": records[-1]["id"] if has_more else None,
    }


def read_record(tx: Transaction, call: Call) -> Json:
    """Answer with one record."""
    kind = call.params["kind"]
    _check_kind(kind)
    record = _group(tx, call).get(kind, call.params["id"])
    if record is None:
        raise not_found(f"There is no {kind} of this id")
    return _shown(kind, record)


def counts(group: Transaction) -> dict[str, int]:
    """Return the number of records of each kind, deleted ones included."""
    return {kind: group.count(kind) for kind in KINDS}


def _shown(kind: str, record: Json) -> Json:
    return without_secrets(record) if kind == "user" else record


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise bad_request(f"kind must be one of {', '.join(KINDS)}")


def _group(tx: Transaction, call: Call) -> Transaction:
    group_id = call.query.get("group")
    if not group_id:
        return tx
    group = tx.in_group(group_id)
    if group is None:
        raise not_found("There is no such group")
    return group
