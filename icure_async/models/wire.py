"""The engine between models and JSON. It knows fields and their types, and no class.

There are two forms. The *document* form is the JSON the reference documentation prints; the *wire*
form is what the backend stores, with a few members under other names, the system metadata flat in
the document, and members this SDK does not know kept for writing back (data-model.md §1-§4.1).

What reads and writes a class is made of its fields on first use. :func:`prepare` does that
beforehand.
"""

from __future__ import annotations

import base64
import enum
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast, get_args, get_origin

import attrs

from icure_async.errors import InvalidResponseError, ValidationError
from icure_async.models.fields import (
    Member,
    fits_64_bits,
    is_finite,
    is_fuzzy_date,
    members_of,
)

__all__ = [
    "from_document",
    "from_wire",
    "hidden",
    "left_out",
    "prepare",
    "to_document",
    "to_wire",
]

ModelT = TypeVar("ModelT", bound=attrs.AttrsInstance)
_Model: TypeAlias = type[attrs.AttrsInstance]
_Read: TypeAlias = Callable[[Any], Any]
_Write: TypeAlias = Callable[[Any], Any]
_Object: TypeAlias = dict[str, Any]
_Get: TypeAlias = Callable[[str], Any]

_LEAVES: Final = frozenset({str, int, float, bool, type(None)})
_ONLY_TEXT: Final = frozenset({str})


class _Form(enum.Enum):
    DOCUMENT = "document"
    WIRE = "wire"


class _Mismatch(Exception):  # noqa: N818
    """A member is not what the models allow. It knows where, and never which value."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(problem, path)
        self.problem = problem
        self.path = path

    def inside(self, step: str) -> _Mismatch:
        """Return the mismatch as seen from the model or collection around it."""
        joint = "." if step and self.path and not self.path.startswith("[") else ""
        return _Mismatch(self.problem, f"{step}{joint}{self.path}")


class _Kept(Exception):  # noqa: N818
    """A member goes back the way it came, as long as its attribute keeps this value."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


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
    except _Mismatch as mismatch:
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
    except _Mismatch as mismatch:
        noun = re.sub("(?<=.)(?=[A-Z])", " ", cls.__name__.removeprefix("Encrypted")).lower()
        where = mismatch.path or "the document"
        raise InvalidResponseError(
            f"The backend sent a {noun} that cannot be read: {where} {mismatch.problem}. "
            "Correct it on the backend, or see whether a newer version of this SDK reads it."
        ) from None


def prepare(base: type) -> None:
    """Make what reads and writes the models below a class. Safe to call from a thread."""
    subclasses = base.__subclasses__()
    for cls in subclasses:
        prepare(cls)
    # attrs leaves behind the classes that it made models of.
    if not subclasses and "__attrs_attrs__" in vars(base):
        for form in _Form:
            _writer(base, form)(_reader(base, form)({}))


# --- Reading values -------------------------------------------------------------------------------


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise _Mismatch("is not a text")
    return value


def _read_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Mismatch("is not a boolean")
    return value


def _read_int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Mismatch("is not an integer")
    return value


def _read_float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Mismatch("is not a number")
    return value


def _read_bytes(value: object) -> bytes:
    try:
        return base64.b64decode(_read_text(value), validate=True)
    except ValueError:
        raise _Mismatch("is not base64") from None


def _write_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


_SCALARS: Final[Mapping[Any, _Read]] = {
    bool: _read_bool,
    bytes: _read_bytes,
    float: _read_float,
    int: _read_int,
    str: _read_text,
}


def _value_reader(kind: Any, form: _Form) -> _Read:
    origin = get_origin(kind)
    if origin is list:
        return _list_reader(*get_args(kind), form)
    if origin is dict:
        return _map_reader(get_args(kind)[1], form)
    if attrs.has(kind):
        return _reader(kind, form)
    return _SCALARS[str if origin is Literal else kind]


def _list_reader(kind: Any, form: _Form) -> _Read:
    read_item = _value_reader(kind, form)
    plain = _ONLY_TEXT if read_item is _read_text else frozenset[type]()

    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _Mismatch("is not a list")
        items: list[Any] = value
        if plain.issuperset(map(type, items)):
            return items.copy()
        done: list[Any] = []
        try:
            done.extend(map(read_item, items))
        except _Mismatch as mismatch:
            raise mismatch.inside(f"[{len(done)}]") from None
        return done

    return read


def _map_reader(kind: Any, form: _Form) -> _Read:
    read_item = _value_reader(kind, form)

    def read(value: Any) -> _Object:
        members = value if type(value) is dict else _as_object(value)
        _check_names(members)
        try:
            return {key: read_item(item) for key, item in members.items()}
        except _Mismatch as mismatch:
            # The key is data, and may be as private as the value.
            raise mismatch.inside("[*]") from None

    return read


def _as_object(value: object) -> _Object:
    if not isinstance(value, Mapping):
        raise _Mismatch("is not an object")
    return dict(cast("Mapping[str, Any]", value))


def _check_names(members: Iterable[object]) -> None:
    if not _ONLY_TEXT.issuperset(map(type, members)) and not all(map(_is_text, members)):
        raise _Mismatch("has a member whose name is not a text")


def _is_text(name: object) -> bool:
    return isinstance(name, str)


def _copy_json(value: Any) -> Any:
    if type(value) in _LEAVES:
        return value
    if isinstance(value, list):
        items: list[Any] = value
        # There may be millions, for which the event loop would wait.
        return (
            items.copy() if _LEAVES.issuperset(map(type, items)) else list(map(_copy_json, items))
        )
    if isinstance(value, Mapping):
        members: Mapping[str, Any] = value
        return {key: _copy_json(item) for key, item in members.items()}
    return value


# --- Reading members ------------------------------------------------------------------------------


def hidden(value: object) -> object:
    """Read a member that is kept for writing back, and not shown."""
    del value
    raise _Kept(None)


def left_out(value: object) -> None:
    """Read a member that is neither shown nor written back."""
    del value


def _read_fuzzy_date(value: object) -> int:
    number = _read_int(value)
    if not is_fuzzy_date(number):
        raise _Kept(number)
    return number


def _read_64_bits(value: object) -> int:
    number = _read_int(value)
    if not fits_64_bits(number):
        raise _Kept(number)
    return number


def _read_finite(value: object) -> float:
    number = _read_float(value)
    if not is_finite(number):
        raise _Kept(number)
    return number


def _read_any_base64(value: object) -> bytes:
    """Read base64 that may be folded, URL-safe or without padding."""
    text = _read_text(value)
    plain = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        content = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise _Kept(None) from None
    if _write_bytes(content) != text:
        raise _Kept(content)
    return content


_WIRE_SCALARS: Final[Mapping[Any, _Read]] = {
    bytes: _read_any_base64,
    float: _read_finite,
    int: _read_64_bits,
}


def _wire_member_reader(member: Member) -> _Read:
    if member.is_fuzzy_date:
        return _read_fuzzy_date
    return member.reads or _WIRE_SCALARS.get(member.kind) or _value_reader(member.kind, _Form.WIRE)


@functools.cache
def _reader(cls: _Model, form: _Form) -> _Read:
    return _wire_reader(cls) if form is _Form.WIRE else _document_reader(cls)


def _document_reader(cls: _Model) -> _Read:
    # Made at the first call: a model may hold others of its own class.
    known: dict[str, tuple[str, _Read]] | None = None

    def read(value: object) -> Any:
        nonlocal known
        if known is None:
            known = {
                member.key: (member.name, _value_reader(member.kind, _Form.DOCUMENT))
                for member in members_of(cls)
            }
        document = _as_object(value)
        _check_names(document)
        arguments: _Object = {}
        for key, item in document.items():
            if key not in known:
                raise _Mismatch("is not a known member", key)
            if item is not None:
                name, read_member = known[key]
                try:
                    arguments[name] = read_member(item)
                except _Mismatch as mismatch:
                    raise mismatch.inside(key) from None
        return cls(**arguments)

    return read


def _wire_reader(cls: _Model) -> _Read:
    # Made at the first call: a model may hold others of its own class.
    fill: Callable[..., None] | None = None
    is_known = _wire_keys(cls).__contains__

    def read(value: Any) -> Any:
        nonlocal fill
        if fill is None:
            fill = _filler(cls)
        document: _Object = value if type(value) is dict else _as_object(value)
        model: Any = cls.__new__(cls)
        model.assumed_fields = {}
        model.unknown_fields = unknown = {}
        fill(model, document.get, model.assumed_fields, unknown)
        for key in itertools.filterfalse(is_known, document):
            if not isinstance(key, str):
                raise _Mismatch("has a member whose name is not a text")
            item = document[key]
            if item is not None:
                unknown[key] = _copy_json(item)
        return model

    return read


def _flat_reader(cls: _Model) -> Callable[[_Get], Any]:
    """Return what reads a model whose members lie in the document that ``get`` looks into."""
    fill = _filler(cls)

    def read(get: _Get) -> Any:
        model: Any = cls.__new__(cls)
        model.assumed_fields = {}
        model.unknown_fields = {}
        fill(model, get, model.assumed_fields, model.unknown_fields)
        return model

    return read


def _wire_keys(cls: _Model) -> frozenset[str]:
    keys: set[str] = set()
    for member in members_of(cls):
        keys |= _wire_keys(member.kind) if member.flat else {member.wire}
    return frozenset(keys)


# Straight code for each class, as attrs does it: a loop over the members takes twice as long.
_FILL: Final = """
def fill(model, get, assumed, unknown):
 try:
  at = ""
{members}
 except Mismatch as mismatch:
  raise mismatch.inside(at) from None
"""
_FILL_FLAT: Final = """
  at = ""
  model.{name} = read_{index}(get)
"""
_FILL_MEMBER: Final = """
  value = get({key!r})
  if value is None:
   model.{name} = default_{index}
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
_MAKE_MEMBER: Final = """
  if model.{name} is None:
   model.{name} = make_{index}(model)
   assumed[{name!r}] = make_{index}(model)
"""
_PLAIN: Final[Mapping[Any, tuple[str, str]]] = {
    str: ("type(value) is str", "value"),
    Literal: ("type(value) is str", "value"),
    bool: ("type(value) is bool", "value"),
    int: (f"type(value) is int and {-(2**63)} <= value < {2**63}", "value"),
    list: ("type(value) is list and not value", "[]"),
    dict: ("type(value) is dict and not value", "{}"),
}
"""What may be taken as it is: the condition, and the value to take, by type."""


@functools.cache
def _filler(cls: _Model) -> Callable[..., None]:
    """Return what reads the members of a model from the wire."""
    members = members_of(cls)
    values: _Object = {"Mismatch": _Mismatch, "Kept": _Kept, "copy": _copy_json}
    lines: list[str] = []
    made: list[str] = []
    for index, member in enumerate(members):
        template = _FILL_FLAT if member.flat else _FILL_MEMBER
        is_plain, plain = _PLAIN.get(get_origin(member.kind) or member.kind, ("False", "None"))
        if member.reads or member.is_fuzzy_date:
            is_plain = "False"
        names = {"index": index, "key": member.wire, "name": member.name}
        lines.append(template.format(**names, is_plain=is_plain, plain=plain))
        values[f"read_{index}"] = (
            _flat_reader(member.kind) if member.flat else _wire_member_reader(member)
        )
        make = member.assumed
        if isinstance(member.default, attrs.Factory):
            factory = member.default.factory
            make = make or (lambda _, factory=factory: factory())
        values[f"default_{index}"] = None if make else member.default
        if make:
            values[f"make_{index}"] = make
            made.append(_MAKE_MEMBER.format(**names))
    return _compiled(_FILL.format(members="".join(lines + made)), values, "fill")


def _compiled(source: str, values: _Object, name: str) -> Callable[..., Any]:
    # Nothing in it comes from outside: names and keys of our own classes.
    exec(source, values)  # noqa: S102
    return cast("Callable[..., Any]", values[name])


# --- Writing --------------------------------------------------------------------------------------


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
    return _write_bytes if kind is bytes else None


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


def _members_writer(cls: _Model, form: _Form) -> _Write:
    """Return what writes the members of a model that its class knows."""
    values: _Object = {}
    lines: list[str] = []
    for index, member in enumerate(members_of(cls)):
        write = values[f"write_{index}"] = _value_writer(member.kind, form)
        template = _WRITE_FLAT if member.flat and form is _Form.WIRE else _WRITE_MEMBER
        key = member.wire if form is _Form.WIRE else member.key
        written = "value" if write is None else f"write_{index}(value)"
        lines.append(template.format(name=member.name, key=key, written=written))
    return _compiled(_WRITE.format(members="".join(lines)), values, "write")


@functools.cache
def _writer(cls: _Model, form: _Form) -> _Write:
    return _wire_writer(cls) if form is _Form.WIRE else _document_writer(cls)


def _document_writer(cls: _Model) -> _Write:
    # Made at the first call: a model may hold others of its own class.
    write_members: _Write | None = None

    def write(model: Any) -> _Object:
        nonlocal write_members
        if write_members is None:
            write_members = _members_writer(cls, _Form.DOCUMENT)
        return cast("_Object", write_members(model))

    return write


def _wire_writer(cls: _Model) -> _Write:
    write_members: _Write | None = None
    key_of = {member.name: member.wire for member in members_of(cls)}
    known = _wire_keys(cls)

    def write(model: Any) -> _Object:
        nonlocal write_members
        if write_members is None:
            write_members = _members_writer(cls, _Form.WIRE)
        written: _Object = write_members(model)
        unknown: _Object = model.unknown_fields or {}
        for name, assumed in model.assumed_fields.items():
            if getattr(model, name) == assumed:
                key = key_of[name]
                written.pop(key, None)
                if key in unknown:
                    written[key] = _copy_json(unknown[key])
        for key, value in unknown.items():
            if key not in known and value is not None:
                written[key] = _copy_json(value)
        return written

    return write
