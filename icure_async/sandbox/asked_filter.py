"""A filter in a request, with checked access to its fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.links import pair
from icure_async.sandbox.queries import Query, exactly, prefix
from icure_async.sandbox.secure_delegations import name_of_key
from icure_async.sandbox.shapes import (
    is_integer,
    is_list,
    is_object,
    is_string_list,
    list_in,
    object_in,
)

if TYPE_CHECKING:
    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["AskedFilter", "Resolver", "by_identifiers", "by_ids", "of_owner", "owned", "with_code"]


class AskedFilter:
    """The filter of a request, with checked access to its fields."""

    def __init__(self, tx: Transaction, call: Call, fields: Json) -> None:
        self.tx = tx
        self.call = call
        self._fields = fields
        given = fields.get("$type")
        self.type: str = given if isinstance(given, str) else ""

    def has(self, name: str) -> bool:
        """Return whether a field is given."""
        return self._fields.get(name) is not None

    def string(self, *names: str) -> str | None:
        """Return the first of these fields that is given, or None."""
        for name in names:
            value = self._fields.get(name)
            if value is not None:
                if not isinstance(value, str):
                    raise bad_request(f"{self.type}: {name} must be a string")
                return value
        return None

    def required(self, *names: str) -> str:
        """Return the first of these fields that is given."""
        value = self.string(*names)
        if value is None:
            raise bad_request(f"{self.type}: {names[0]} is missing")
        return value

    def integer(self, name: str) -> int | None:
        """Return a field that must be an integer when given."""
        value = self._fields.get(name)
        if value is not None and not is_integer(value):
            raise bad_request(f"{self.type}: {name} must be an integer")
        return value

    def required_integer(self, name: str) -> int:
        """Return a field that must be an integer."""
        value = self.integer(name)
        if value is None:
            raise bad_request(f"{self.type}: {name} is missing")
        return value

    def boolean(self, name: str) -> bool | None:
        """Return a field that must be true or false when given."""
        value = self._fields.get(name)
        if value is not None and not isinstance(value, bool):
            raise bad_request(f"{self.type}: {name} must be true or false")
        return value

    def strings(self, name: str, *, required: bool = False) -> list[str]:
        """Return a field that must be a list of strings, by default an empty one."""
        value = self._fields.get(name)
        if value is None:
            if required:
                raise bad_request(f"{self.type}: {name} is missing")
            return []
        if not is_string_list(value):
            raise bad_request(f"{self.type}: {name} must be a list of strings")
        return value

    def lists_by_key(self, name: str) -> dict[str, list[str]]:
        """Return a field that must be an object of lists of strings, by default an empty one."""
        value = object_in(self._fields, name)
        if not is_object(value) or not all(map(is_string_list, value.values())):
            raise bad_request(f"{self.type}: {name} must be an object of lists of strings")
        return value

    def objects(self, name: str) -> list[Json]:
        """Return a field that must be a list of objects, by default an empty one."""
        value = list_in(self._fields, name)
        if not is_list(value) or not all(is_object(item) for item in value):
            raise bad_request(f"{self.type}: {name} must be a list of objects")
        return value

    def owner(self, *names: str) -> list[str]:
        """Return the names of the owner that the filter names, by default of the caller.

        There are none where the caller may not ask.
        """
        caller = self.call.caller
        owner = self.string(*names, "healthcarePartyId", "healthCarePartyId") or caller.owner_id
        if owner is None:
            raise bad_request(f"{self.type}: healthcarePartyId is missing")
        if owner == caller.owner_id:
            return [owner, *map(name_of_key, self.call.delegation_keys)]
        may_ask_for_others = caller.is_admin or (self.call.legacy and caller.is_hcp)
        return [owner] if may_ask_for_others or owner in caller.identities else []


Resolver = Callable[[AskedFilter], "list[str] | list[Query]"]
"""Finds ids in an order of the filter's own, or queries whose ids are all found."""


def by_ids(kind: str) -> Resolver:
    """Return what finds entities in the order of the ids that are asked for."""

    def resolve(asked: AskedFilter) -> list[str]:
        ids = dict.fromkeys(asked.strings("ids", required=True))
        return [str(entity["id"]) for entity in asked.tx.each(kind, ids)]

    return resolve


def owned(of: Callable[[AskedFilter], list[Query]], *owner_names: str) -> Resolver:
    """Return what some queries find of the owner's entities."""

    def resolve(asked: AskedFilter) -> list[Query]:
        queries, owner = of(asked), asked.owner(*owner_names)
        return [query.also("delegate", owner) for query in queries]

    return resolve


def of_owner(kind: str, *owner_names: str) -> Resolver:
    """Return what finds all of the owner's entities."""

    def resolve(asked: AskedFilter) -> list[Query]:
        owner = asked.owner(*owner_names)
        return [exactly(kind, "delegate", *owner)] if owner else []

    return resolve


def with_code(kind: str, relation: str, code_type: str, code: str | None) -> Query:
    """Return the entities with a tag or a code of this type, of any code if that is None."""
    if code is None:
        return prefix(kind, relation, pair(code_type))
    return exactly(kind, relation, pair(code_type, code))


def by_identifiers(kind: str) -> Callable[[AskedFilter], list[Query]]:
    """Return what finds the entities with one of the identifiers that are asked for."""

    def of(asked: AskedFilter) -> list[Query]:
        return [_with_identifier(kind, identifier) for identifier in asked.objects("identifiers")]

    return of


def _with_identifier(kind: str, identifier: Json) -> Query:
    system, value = identifier.get("system"), identifier.get("value")
    if value is None:
        return prefix(kind, "identifier", pair(system))
    return exactly(kind, "identifier", pair(system, str(value)))
