"""Turns the tables into code: reads what clients send, completes what is sent back (§4)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from icure_async.sandbox import chance
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.shapes import is_integer, is_list, is_object
from icure_async.sandbox.tables import EMBEDDED, ENTITIES, ENUMS

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json

__all__ = ["SCHEMAS", "Schema", "sparse"]

Reader = Callable[[Any, str], Any]

_RANDOM = "random UUID"
_OR_EMPTY = " or {}"
_MISSING = object()


@attrs.frozen
class _Field:
    reader: Reader
    default: object
    required: bool
    hidden: bool

    def default_value(self) -> Any:
        if self.default == _RANDOM:
            return chance.new_id()
        # Containers are copied: an answer is edited on its way out.
        return copy.copy(self.default)


class Schema:
    """The properties of one entity or embedded type.

    Args:
        name: its name.
        table: name → notation of the properties.
        complete: False for what is only checked: nothing gets its default, and what is empty, or
            has its default, is left out.
    """

    def __init__(self, name: str, table: dict[str, str], *, complete: bool = True) -> None:
        self.name = name
        self._complete = complete
        self._fields = {prop: _field(notation, complete) for prop, notation in table.items()}

    def read(self, value: Any, path: str = "") -> Json:
        """Check and complete an object sent by a client.

        Unknown properties are dropped, null and missing ones get their default.

        Raises:
            ApiError: 400 that names the property, when something mandatory is missing or has the
                wrong type.
        """
        if not is_object(value):
            raise bad_request(f"{path or self.name} must be a JSON object")
        result: Json = {}
        for prop, field in self._fields.items():
            where = f"{path}.{prop}" if path else prop
            given = value.get(prop)
            item = None if given is None else field.reader(given, where)
            if item is not None:
                result[prop] = item
            elif field.required:
                raise bad_request(f"{where} is missing")
            elif field.default is not _MISSING and self._complete:
                result[prop] = field.default_value()
        if not self._complete:
            result = sparse(result)
        if self.name == "CodeStub":
            _complete_code_stub(result)
        return result

    def show(self, stored: Json) -> Json:
        """Complete a stored entity for an answer: one from a seed may lack defaults."""
        result: Json = {}
        for prop, field in self._fields.items():
            is_hidden = field.hidden or not self._complete
            given = stored.get(prop)
            shown = None if given is None else field.reader(given, prop)
            if shown is None:
                if field.default is _MISSING or is_hidden:
                    continue
                result[prop] = field.default_value()
            elif not (is_hidden and shown == field.default):
                result[prop] = shown
        return result if self._complete else sparse(result)


def sparse(entity: Json) -> Json:
    """Return an entity without what is null or empty (§14.1)."""
    return {prop: item for prop, item in entity.items() if item not in (None, [], {})}


def _complete_code_stub(stub: Json) -> None:
    parts = ("type", "code", "version")
    stub_id = stub.get("id")
    if stub_id is None:
        stub["id"] = "|".join(stub.get(part) or "null" for part in parts)
        return
    values = stub_id.split("|")
    if len(values) == len(parts):
        for part, value in zip(parts, values, strict=True):
            if part not in stub and value != "null":
                stub[part] = value


def _field(notation: str, complete: bool) -> _Field:
    hidden = notation.startswith("hidden ")
    type_name, _, default = notation.removeprefix("hidden ").partition(" = ")
    required = type_name.endswith("!")
    return _Field(
        reader=_reader(type_name.removesuffix("!"), complete),
        default=_default(default) if default else _MISSING,
        required=required,
        hidden=hidden,
    )


def _default(text: str) -> object:
    constants: dict[str, object] = {"[]": [], "{}": {}, "true": True, "false": False}
    if text in constants:
        return constants[text]
    return int(text) if text.isdecimal() else text


def _reader(type_name: str, complete: bool) -> Reader:
    if type_name.endswith(_OR_EMPTY):
        return _tolerant_reader(_reader(type_name.removesuffix(_OR_EMPTY), complete))
    if type_name.endswith("[]"):
        return _list_reader(_reader(type_name.removesuffix("[]"), complete))
    if type_name.startswith("{"):
        key, _, value = type_name[1:-1].partition(": ")
        return _map_reader(_reader(key, complete), _reader(value, complete))
    if type_name in _SCALARS:
        return _SCALARS[type_name]
    if type_name in ENUMS:
        return _enum_reader(type_name, ENUMS[type_name])
    if type_name in EMBEDDED:
        # Looked up when used: embedded types mention each other.
        return lambda value, path: _EMBEDDED_SCHEMAS[complete][type_name].read(value, path)
    return lambda value, _path: value


def _tolerant_reader(reader: Reader) -> Reader:
    return lambda value, path: None if value == {} else reader(value, path)


def _list_reader(item: Reader) -> Reader:
    def read(value: Any, path: str) -> list[Any]:
        if not is_list(value):
            raise bad_request(f"{path} must be a list")
        return [item(element, f"{path}[{index}]") for index, element in enumerate(value)]

    return read


def _map_reader(key: Reader, item: Reader) -> Reader:
    def read(value: Any, path: str) -> Json:
        if not is_object(value):
            raise bad_request(f"{path} must be a JSON object")
        return {
            key(name, f"key of {path}"): read_item
            for name, element in value.items()
            if element is not None and (read_item := item(element, f"{path}[{name}]")) is not None
        }

    return read


def _enum_reader(name: str, constants: frozenset[str]) -> Reader:
    def read(value: Any, path: str) -> str:
        if not isinstance(value, str) or value not in constants:
            raise bad_request(f"{path} must be one of the constants of {name}")
        return value

    return read


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise bad_request(f"{path} must be a string")
    return value


def _integer(value: Any, path: str) -> int:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if not is_integer(value):
        raise bad_request(f"{path} must be an integer of at most 64 bits")
    return value


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_request(f"{path} must be a number")
    return value


def _boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise bad_request(f"{path} must be true or false")
    return value


_SCALARS: dict[str, Reader] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}

_EMBEDDED_SCHEMAS = {
    complete: {name: Schema(name, table, complete=complete) for name, table in EMBEDDED.items()}
    for complete in (True, False)
}

SCHEMAS: dict[str, Schema] = {name: Schema(name, table) for name, table in ENTITIES.items()}
"""The schema of each kind that has endpoints, and of the crypto actor ``stub``."""
