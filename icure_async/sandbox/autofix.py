"""Values that the backend fills in where a client sends none (§6.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import chance
from icure_async.sandbox.shapes import list_in

if TYPE_CHECKING:
    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.store import Json

__all__ = ["fill_in", "fuzzy_date"]

_WITHOUT_DATES: Final = frozenset({"code"})
_WITHOUT_MODIFIED: Final = frozenset({"user"})
_WITH_AUTHOR: Final = frozenset(
    {"patient", "device", "maintenancetask", "helement", "contact", "document"}
)


def fill_in(call: Call, kind: str, entity: Json) -> None:
    """Complete an entity that is about to be stored by the older API."""
    if kind not in _WITHOUT_DATES:
        entity.setdefault("created", call.now_ms)
        if kind not in _WITHOUT_MODIFIED:
            entity.setdefault("modified", call.now_ms)
    if kind in _WITH_AUTHOR:
        _fill_in_author(call, entity)
    if kind == "helement":
        _fill_in_condition(call, entity)
    if kind == "contact":
        _fill_in_contact(call, entity)


def fuzzy_date(milliseconds: int) -> int:
    """Return a moment as the backend writes one: YYYYMMDDhhmmss in UTC."""
    return int(datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y%m%d%H%M%S"))


def _fill_in_author(call: Call, entity: Json) -> None:
    entity.setdefault("author", call.caller.user_id)
    if call.caller.owner_id is not None:
        entity.setdefault("responsible", call.caller.owner_id)


def _fill_in_part(call: Call, part: Json) -> None:
    part.setdefault("created", call.now_ms)
    part.setdefault("modified", call.now_ms)
    _fill_in_author(call, part)


def _fill_in_condition(call: Call, condition: Json) -> None:
    condition.setdefault("healthElementId", chance.new_id())
    _fill_in_dates(call, condition, "valueDate", "openingDate")
    _fill_in_notes(call, condition)


def _fill_in_contact(call: Call, contact: Json) -> None:
    contact.setdefault("groupId", chance.new_id())
    _fill_in_dates(call, contact, "openingDate")
    for part in list_in(contact, "subContacts"):
        _fill_in_part(call, part)
    for index, service in enumerate(list_in(contact, "services")):
        service.setdefault("index", index)
        _fill_in_part(call, service)
        _fill_in_dates(call, service, "valueDate", "openingDate")
        _fill_in_notes(call, service)


def _fill_in_dates(call: Call, entity: Json, *names: str) -> None:
    for name in names:
        entity.setdefault(name, fuzzy_date(call.now_ms))


def _fill_in_notes(call: Call, entity: Json) -> None:
    notes: list[Any] = list_in(entity, "notes")
    for note in notes:
        note.setdefault("created", call.now_ms)
        note.setdefault("modified", call.now_ms)
