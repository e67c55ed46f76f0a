"""The engine between models and JSON. It knows fields and their types, and no class.

There are two forms. The *document* form is the JSON the reference documentation prints; the *wire*
form is what the backend stores, with a few members under other names, the system metadata flat in
the document, and members this SDK does not know kept for writing back (data-model.md §1-§4.1).

For each class the engine writes straight code on first use, as attrs does: loops over the members
take twice as long. :func:`prepare` has it written beforehand.
"""

from __future__ import annotations

import enum
import functools
import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast, get_args, get_origin

import attrs

from icure_async.errors import InvalidResponseError, ValidationError
from icure_async.models.fields import Member, members_of
from icure_async.models.json_values import (
    SCALARS,
    STORED_SCALARS,
    Kept,
    Mismatch,
    Read,
    check_names,
    copy_json,
    read_fuzzy_date,
    read_list,
    read_object,
    read_texts,
    write_bytes,
)

__all__ = ["from_document", "from_wire", "prepare", "to_document", "to_wire"]

ModelT = TypeVar("ModelT", bound=attrs.AttrsInstance)
_Object: TypeAlias = dict[str, Any]
_Class: TypeAlias = Any
"""A class of models; as a type, it would count as unhashable, since models are."""
_Write: TypeAlias = Callable[[Any], Any]


class _Form(enum.Enum):
    DOCUMENT = "document"
    WIRE = "wire"


# --- The seam -------------------------------------------------------------------------------------


def to_document(model: attrs.AttrsInstance) -> dict[str, Any]:
    """Return the JSON the reference documentation prints (see :meth:`Model.to_dict`)."""
    return cast("_Object", _writer(type(model), _Form.DOCUMENT)(model))


def from_document(cls: type[ModelT], mapping: Mapping[str, Any]) -> ModelT:
    """Build a model from the JSON of the documentation (see :meth:`Model.from_dict`).

    Raises:
        ValidationError: a member is unknown or has the wrong type.
    """
    try:
        return cast("ModelT", _reader(cls, _Form.DOCUMENT)(mapping))
    except Mismatch as mismatch:
        what = f"{cls.__name__}: {mismatch.path}" if mismatch.path else cls.__name__
        raise ValidationError(f"{what} {mismatch.problem}.") from None


def to_wire(model: attrs.AttrsInstance) -> dict[str, Any]:
    """Return the document for the backend, encrypted members still in clear (data-model.md §3.1).

    Nothing in it is shared with the model.
    """
    return cast("_Object", _writer(type(model), _Form.WIRE)(model))


def from_wire(cls: type[ModelT], document: Mapping[str, Any]) -> ModelT:
    """Build a model from a document of the backend (data-model.md §3.1).

    Args:
        cls: the class of the model; that of unreadable ones where the document's encrypted members
            could not be decrypted.
        document: the document, with its decrypted members put in where there are any.

    Raises:
        InvalidResponseError: a member has the wrong type.
    """
    try:
        return cast("ModelT", _reader(cls, _Form.WIRE)(document))
    except Mismatch as mismatch:
        noun = re.sub("(?<=.)(?=[A-Z])", " ", cls.__name__.removeprefix("Encrypted")).lower()
        where = mismatch.path or "the document"
        raise InvalidResponseError(
            f"The backend sent a {noun} that cannot be read: {where} {mismatch.problem}. "
            "Correct it on the backend, or see whether a newer version of this SDK reads it."
        ) from None


def prepare(base: type) -> None:
    """Make what reads and writes the models below a class. Safe to call from a thread."""
    subclasses: list[type] = base.__subclasses__()
    for cls in subclasses:
        prepare(cls)
    # attrs leaves behind the classes that it made models of.
    if not subclasses and "__attrs_attrs__" in vars(base):
        for form in _Form:
            _writer(base, form)(_reader(base, form)({}))


# --- Reading --------------------------------------------------------------------------------------

_FILL: Final = """
def fill(get):
 # The constructor would look at each member once more.
 model = cls.__new__(cls)
 model.assumed_fields = assumed = {{}}
 model.unknown_fields = unknown = {{}}
 try:
  at = ""
{members}
 except Mismatch as mismatch:
  raise mismatch.inside(at) from None
 return model
"""
_FILL_MEMBER: Final = """
  value = get({key!r})
  if value is None:
   {missing}
  elif {is_plain}:
   model.{name} = {plain}
  else:
   at = {key!r}
   try:
    model.{name} = read_{index}(value)
   except Kept as kept:
    model.{name} = assumed[{name!r}] = kept.value
    unknown[{key!r}] = copy(value)
"""
_MISSING: Final = "model.{name} = default_{index}"
_MISSING_LIST: Final = "model.{name} = default_{index}(); assumed[{name!r}] = default_{index}()"
_FILL_FLAT: Final = """
  at = ""
  model.{name} = read_{index}(get)
"""
_FILL_ASSUMED: Final = """
  if model.{name} is None:
   model.{name} = assume_{index}(model)
   assumed[{name!r}] = assume_{index}(model)
"""
_PLAIN: Final[Mapping[Any, tuple[str, str]]] = {
    str: ("type(value) is str", "value"),
    Literal: ("type(value) is str", "value"),
    bool: ("type(value) is bool", "value"),
    int: (f"type(value) is int and {-(2**63)} <= value < {2**63}", "value"),
    list: ("type(value) is list and not value", "[]"),
    dict: ("type(value) is dict and not value", "{}"),
}
"""What needs no reading, by type: the condition, and what is taken."""
_NEVER: Final = ("False", "None")


@functools.cache
def _reader(cls: _Class, form: _Form) -> Read:
    # Made at the first call: a model may hold others of its own class.
    fill: Read | None = None
    is_known = _keys_of(cls, form).__contains__
    is_wire = form is _Form.WIRE

    def read(value: Any) -> Any:
        nonlocal fill
        if fill is None:
            fill = _filler(cls, form)
        # Most are dicts; asking for the class spares a call.
        document: _Object = value if value.__class__ is dict else read_object(value)
        model = fill(document.get)
        for key in itertools.filterfalse(is_known, document):
            check_names([key])
            if not is_wire:
                raise Mismatch("is not a known member", key)
            if document[key] is not None:
                model.unknown_fields[key] = copy_json(document[key])
        if not is_wire:
            blank = cls()
            model.assumed_fields, model.unknown_fields = {}, blank.unknown_fields
        return model

    return read


def _filler(cls: _Class, form: _Form) -> Read:
    """Return what makes a model of the members that its class knows, given what gets them."""
    values: _Object = {"cls": cls, "Mismatch": Mismatch, "Kept": Kept, "copy": copy_json}
    lines: list[str] = []
    last: list[str] = []
    for index, member in enumerate(members_of(cls)):
        values[f"read_{index}"] = _member_reader(member, form)
        values[f"default_{index}"] = getattr(member.default, "factory", member.default)
        values[f"assume_{index}"] = member.assumed
        names: _Object = {"index": index, "key": _key_of(member, form), "name": member.name}
        if _is_flat(member, form):
            lines.append(_FILL_FLAT.format(**names))
            continue
        is_plain, plain = _PLAIN.get(get_origin(member.kind) or member.kind, _NEVER)
        if member.reads or member.is_fuzzy_date:
            is_plain, plain = _NEVER
        missing = _MISSING_LIST if hasattr(member.default, "factory") else _MISSING
        missing = missing.format(**names)
        lines.append(_FILL_MEMBER.format(**names, missing=missing, is_plain=is_plain, plain=plain))
        if member.assumed and form is _Form.WIRE:
            last.append(_FILL_ASSUMED.format(**names))
    return _compiled(_FILL.format(members="".join(lines + last)), values, "fill")


def _compiled(source: str, values: _Object, name: str) -> Callable[..., Any]:
    # Nothing in it comes from outside: it is made of the names in our own classes.
    exec(source, values)  # noqa: S102
    return cast("Callable[..., Any]", values[name])


def _member_reader(member: Member, form: _Form) -> Read:
    if form is _Form.DOCUMENT:
        return _value_reader(member.kind, form)
    if member.flat:
        return _filler(member.kind, form)
    if member.is_fuzzy_date:
        return read_fuzzy_date
    return member.reads or STORED_SCALARS.get(member.kind) or _value_reader(member.kind, form)


def _value_reader(kind: Any, form: _Form) -> Read:
    origin = get_origin(kind)
    if origin is list:
        return _list_reader(_value_reader(get_args(kind)[0], form))
    if origin is dict:
        return _map_reader(_value_reader(get_args(kind)[1], form))
    if attrs.has(kind):
        return _reader(kind, form)
    return SCALARS[str if origin is Literal else kind]


def _list_reader(read_item: Read) -> Read:
    def read(value: object) -> list[Any]:
        items: list[Any] = []
        values = read_list(value)
        try:
            items.extend(map(read_item, values))
        except Mismatch as mismatch:
            raise mismatch.inside(f"[{len(items)}]") from None
        return items

    return read_texts if read_item is SCALARS[str] else read


def _map_reader(read_item: Read) -> Read:
    def read(value: object) -> _Object:
        members = read_object(value)
        check_names(members)
        try:
            return {key: read_item(item) for key, item in members.items()}
        except Mismatch as mismatch:
            # The key is data, and may be as private as the value.
            raise mismatch.inside("[*]") from None

    return read


# --- Keys -----------------------------------------------------------------------------------------


def _key_of(member: Member, form: _Form) -> str:
    return member.wire if form is _Form.WIRE else member.key


def _is_flat(member: Member, form: _Form) -> bool:
    return member.flat and form is _Form.WIRE


def _keys_of(cls: _Class, form: _Form) -> frozenset[str]:
    """Return the names of all members that a class knows."""
    return frozenset(
        key
        for member in members_of(cls)
        for key in (
            _keys_of(member.kind, form) if _is_flat(member, form) else [_key_of(member, form)]
        )
    )


# --- Writing --------------------------------------------------------------------------------------

_WRITE: Final = """
def write(model):
 document = {{}}
{members}
 return document
"""
_WRITE_MEMBER: Final = """
 value = model.{name}
 if value is not None:
  document[{key!r}] = {written}
"""
_WRITE_FLAT: Final = """
 value = model.{name}
 if value is not None:
  document.update({written})
"""


@functools.cache
def _writer(cls: _Class, form: _Form) -> _Write:
    # Made at the first call: a model may hold others of its own class.
    write_members: _Write | None = None
    key_of = {member.name: member.wire for member in members_of(cls)}
    known = _keys_of(cls, form)
    is_wire = form is _Form.WIRE

    def write(model: Any) -> _Object:
        nonlocal write_members
        if write_members is None:
            write_members = _members_writer(cls, form)
        document: _Object = write_members(model)
        if not is_wire:
            return document
        unknown: _Object = model.unknown_fields or {}
        for name, assumed in model.assumed_fields.items():
            if getattr(model, name) == assumed:
                key = key_of[name]
                document.pop(key, None)
                if key in unknown:
                    document[key] = copy_json(unknown[key])
        for key, value in unknown.items():
            if key not in known and value is not None:
                document[key] = copy_json(value)
        return document

    return write


def _members_writer(cls: _Class, form: _Form) -> _Write:
    """Return what writes the members that a class knows."""
    values: _Object = {}
    lines: list[str] = []
    for index, member in enumerate(members_of(cls)):
        write = values[f"write_{index}"] = _value_writer(member.kind, form)
        template = _WRITE_FLAT if _is_flat(member, form) else _WRITE_MEMBER
        written = "value" if write is None else f"write_{index}(value)"
        lines.append(template.format(name=member.name, key=_key_of(member, form), written=written))
    return _compiled(_WRITE.format(members="".join(lines)), values, "write")


def _value_writer(kind: Any, form: _Form) -> _Write | None:
    """Return what writes values of a type; None where they are JSON as they are."""
    origin = get_origin(kind)
    if origin is list or origin is dict:
        write_item = _value_writer(get_args(kind)[-1], form)
        if write_item is None:
            return cast("_Write", origin)
        if origin is list:
            return lambda value: list(map(write_item, value))
        return lambda value: {key: write_item(item) for key, item in value.items()}
    if attrs.has(kind):
        return _writer(kind, form)
    return write_bytes if kind is bytes else None
