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
import inspect
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar, cast, get_args, get_origin

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
        joint = "." if self.path and not self.path.startswith("[") else ""
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
    """Make what reads and writes the subclasses of a class. Safe to call from a thread."""
    for cls in base.__subclasses__():
        for form in _Form:
            _reader(cls, form)({})
            _writer(cls, form)(cls())
        prepare(cls)


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
        try:
            return list(map(read_item, items))
        except _Mismatch:
            raise _first_mismatch(items, read_item) from None

    return read


def _first_mismatch(items: Iterable[object], read_item: _Read) -> _Mismatch:
    """Return the mismatch in a list that is known to have one."""
    index = 0
    try:
        for index, item in enumerate(items):  # noqa: B007
            read_item(item)
    except _Mismatch as mismatch:
        return mismatch.inside(f"[{index}]")
    raise AssertionError


def _map_reader(kind: Any, form: _Form) -> _Read:
    read_item = _value_reader(kind, form)

    def read(value: Any) -> _Object:
        members = value if type(value) is dict else _as_object(value)
        _check_names(members)
        try:
            return dict(zip(members, map(read_item, members.values()), strict=True))
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


def _member_reader(member: Member, form: _Form) -> tuple[str, type | None, _Read]:
    """Return the name of an attribute, the type that needs no reading, and what reads others."""
    read = _value_reader(member.kind, form)
    if form is _Form.WIRE:
        own = _read_fuzzy_date if member.is_fuzzy_date else member.reads
        read = own or _WIRE_SCALARS.get(member.kind, read)
    return member.name, {_read_text: str, _read_bool: bool}.get(read), read


@functools.cache
def _reader(cls: _Model, form: _Form) -> _Read:
    return _wire_reader(cls) if form is _Form.WIRE else _document_reader(cls)


def _document_reader(cls: _Model) -> _Read:
    # Looked up at the first call: a model may hold others of its own class.
    known: dict[str, tuple[str, type | None, _Read]] | None = None

    def read(value: object) -> Any:
        nonlocal known
        if known is None:
            members = members_of(cls)
            known = {member.key: _member_reader(member, _Form.DOCUMENT) for member in members}
        document = _as_object(value)
        _check_names(document)
        arguments: _Object = {}
        for key, item in document.items():
            if key not in known:
                raise _Mismatch("is not a known member", key)
            if item is not None:
                name, _, read_member = known[key]
                try:
                    arguments[name] = read_member(item)
                except _Mismatch as mismatch:
                    raise mismatch.inside(key) from None
        return cls(**arguments)

    return read


class _Reading(NamedTuple):
    """Everything that the reader of a class looks up only once."""

    known: Mapping[str, tuple[str, type | None, _Read]]
    flat: tuple[str, _Read] | None
    flat_keys: frozenset[str]
    assumptions: Sequence[tuple[str, Callable[[_Object], Any]]]


def _reading(cls: _Model) -> _Reading:
    members = members_of(cls)
    flat = next((member for member in members if member.flat), None)
    return _Reading(
        known={
            member.wire: _member_reader(member, _Form.WIRE) for member in members if not member.flat
        },
        flat=flat and (flat.name, _reader(flat.kind, _Form.WIRE)),
        flat_keys=_flat_keys(flat),
        assumptions=[
            (member.name, member.assumed) for member in members if member.assumed is not None
        ],
    )


def _flat_keys(flat: Member | None) -> frozenset[str]:
    members = () if flat is None else members_of(flat.kind)
    return frozenset(member.wire for member in members)


def _wire_reader(cls: _Model) -> _Read:
    # Looked up at the first call: a model may hold others of its own class.
    reading: _Reading | None = None
    # What is passed here needs no explanation of wrong arguments.
    initialize = inspect.unwrap(cls.__init__)
    new = cls.__new__

    def read(value: Any) -> Any:
        nonlocal reading
        if reading is None:
            reading = _reading(cls)
        known, flat, flat_keys, assumptions = reading
        document = value if type(value) is dict else _as_object(value)
        arguments: _Object = {}
        flat_members: _Object = {}
        unknown: _Object = {}
        assumed: _Object = {}
        key = ""
        try:
            for key, item in document.items():
                if item is None:
                    continue
                member = known.get(key)
                if member is None:
                    (flat_members if key in flat_keys else unknown)[key] = item
                    continue
                name, plain, read_member = member
                if type(item) is plain:
                    arguments[name] = item
                    continue
                try:
                    arguments[name] = read_member(item)
                except _Kept as kept:
                    arguments[name] = assumed[name] = kept.value
                    unknown[key] = item
        except _Mismatch as mismatch:
            raise mismatch.inside(key) from None
        if unknown:
            _check_names(unknown)
            unknown = _copy_json(unknown)
        if flat is not None:
            name, read_flat = flat
            arguments[name] = read_flat(flat_members)
        for name, assume in assumptions:
            if name not in arguments:
                assumed[name], arguments[name] = assume(arguments), assume(arguments)
        model = new(cls)
        initialize(model, assumed_fields=assumed, unknown_fields=unknown, **arguments)
        return model

    return read


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
        return lambda value: dict(zip(value, map(write_item, value.values()), strict=True))
    if attrs.has(kind):
        return _writer(kind, form)
    return _write_bytes if kind is bytes else None


class _Writing(NamedTuple):
    """Everything that the writer of a class looks up only once."""

    values_of: Callable[[object], Iterable[Any]]
    keys: Sequence[str]
    writers: Sequence[tuple[str, _Write]]
    key_of: Mapping[str, str]
    known: frozenset[str]
    flat_key: str | None


def _writing(cls: _Model, form: _Form) -> _Writing:
    members = members_of(cls)
    flat = next((member for member in members if member.flat), None)
    key_of = {member.name: member.wire if form is _Form.WIRE else member.key for member in members}
    return _Writing(
        # With two more, as one name alone would yield no tuple.
        values_of=operator.attrgetter(*key_of, "__class__", "__class__"),
        keys=list(key_of.values()),
        writers=[
            (key_of[member.name], write)
            for member in members
            if (write := _value_writer(member.kind, form)) is not None
        ],
        key_of=key_of,
        known=frozenset(key_of.values()) - {flat and flat.wire} | _flat_keys(flat),
        flat_key=flat and flat.wire,
    )


@functools.cache
def _writer(cls: _Model, form: _Form) -> _Write:
    # Looked up at the first call: a model may hold others of its own class.
    writing: _Writing | None = None
    is_wire = form is _Form.WIRE

    def write(model: Any) -> _Object:
        nonlocal writing
        if writing is None:
            writing = _writing(cls, form)
        values_of, keys, writers, key_of, known, flat_key = writing
        values = zip(keys, values_of(model), strict=False)
        written = {key: value for key, value in values if value is not None}
        for key, write_value in writers:
            if key in written:
                written[key] = write_value(written[key])
        if not is_wire:
            return written
        if flat_key in written:
            written.update(written.pop(flat_key))
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
