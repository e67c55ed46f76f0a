"""The engine between models and JSON. It knows fields and their types, and no class.

There are three forms. The *document* form is the JSON the reference documentation prints, and the
*snake* form the same with the names of the attributes; they are read alike. The *wire* form is what
the backend stores, with a few members under other names, the system metadata flat in the document,
and members this SDK does not know kept for writing back (data-model.md §1-§4.1).

The readers and writers of a class are made on first use, and by :func:`prepare` beforehand; cattrs
generates the writers. A model is read as if all were as it should be. With anything else in it, it
is read a second time, member by member, which takes longer and tells what is kept from what is
wrong, and where.
"""

from __future__ import annotations

import enum
import functools
import importlib
import re
from collections.abc import Callable, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_origin,
)

import attrs

from icure_async.errors import InvalidResponseError, ValidationError
from icure_async.mistakes import alike
from icure_async.models.fields import Member, members_of
from icure_async.models.json_values import (
    SCALARS,
    STORED_SCALARS,
    Kept,
    Mismatch,
    Read,
    copy_json,
    is_deeper_than,
    read_fuzzy_date,
    read_json,
    read_list,
    read_map,
    read_numbers,
    read_object,
    read_texts,
    write_bytes,
)

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["Case", "from_document", "from_wire", "prepare", "to_document", "to_wire", "wire_names"]

Case: TypeAlias = Literal["camel", "snake"]
"""The case of the names in a document: ``firstName``, or ``first_name``."""

ModelT = TypeVar("ModelT", bound=attrs.AttrsInstance)
_Object: TypeAlias = dict[str, Any]
_Class: TypeAlias = Any
"""A class of models; as a type, it would count as unhashable, since models are."""
_Write: TypeAlias = Callable[[Any], _Object]
_Readers: TypeAlias = dict[str, tuple[str, Read, type | None]]
"""By name in JSON: slot of the member, its reader, and the class of values it returns as given."""

# Copying a model takes several frames of the stack for each level, of which Python allows 1,000.
_DEEPEST: Final = 120
_TOO_DEEP: Final = "is nested too deeply"

_READ_AS_THEY_ARE: Final = {SCALARS[kind]: kind for kind in (bool, float, int, str)}


class _Form(enum.Enum):
    DOCUMENT = "document"
    SNAKE = "snake"
    WIRE = "wire"


# --- The seam -------------------------------------------------------------------------------------


def to_document(model: attrs.AttrsInstance, case: Case = "camel") -> dict[str, Any]:
    """Return the JSON the reference documentation prints (see :meth:`Model.to_dict`).

    Raises:
        ValidationError: there is no such case.
    """
    if case not in get_args(Case):
        raise ValidationError(f"case must be one of: {', '.join(get_args(Case))}.")
    form = _Form.SNAKE if case == "snake" else _Form.DOCUMENT
    return _writer(type(model), form=form)(model)


def from_document(cls: type[ModelT], mapping: Mapping[str, Any]) -> ModelT:
    """Build a model from the JSON of the documentation (see :meth:`Model.from_dict`).

    Raises:
        ValidationError: a member is unknown or has the wrong type.
    """
    try:
        return cast("ModelT", _read_bounded(cls, _Form.DOCUMENT, mapping))
    except Mismatch as mismatch:
        what = f"{cls.__name__}: {mismatch.path}" if mismatch.path else cls.__name__
        raise ValidationError(f"{what} {mismatch.problem}.") from None


def to_wire(model: attrs.AttrsInstance) -> dict[str, Any]:
    """Return the document for the backend, encrypted members still in clear (data-model.md §3.1).

    Nothing in it is shared with the model.
    """
    return _writer(type(model), form=_Form.WIRE)(model)


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
        if _holds_its_own(cls) and is_deeper_than(document, _DEEPEST):
            raise Mismatch(_TOO_DEEP)
        return cast("ModelT", _read_bounded(cls, _Form.WIRE, document))
    except Mismatch as mismatch:
        noun = re.sub("(?<=.)(?=[A-Z])", " ", cls.__name__.removeprefix("Encrypted")).lower()
        where = mismatch.path or "the document"
        raise InvalidResponseError(
            f"The backend sent a {noun} that cannot be read: {where} {mismatch.problem}. "
            "Correct it on the backend, or see whether a newer version of this SDK reads it."
        ) from None


def wire_names(cls: type[attrs.AttrsInstance]) -> frozenset[str]:
    """Return the names on the wire of all members that a class knows."""
    return _keys_of(cls, _Form.WIRE)


def prepare(base: type) -> None:
    """Make what reads and writes the models below a class. Safe to call from a thread."""
    subclasses: list[type] = base.__subclasses__()
    for cls in subclasses:
        prepare(cls)
    # attrs leaves behind the classes that it made models of.
    if not subclasses and "__attrs_attrs__" in vars(base):
        # The snake form is made when somebody asks for it.
        for form in (_Form.DOCUMENT, _Form.WIRE):
            _writer(base, form=form)(_reader(base, form=form)({}))


# --- Reading --------------------------------------------------------------------------------------


def _read_bounded(kind: Any, form: _Form, value: object) -> Any:
    try:
        return _read(kind, form, value)
    except RecursionError:
        raise Mismatch(_TOO_DEEP) from None


@functools.cache
def _holds_its_own(cls: _Class) -> bool:
    """Return whether a model may hold others of its own class, without end."""
    reached = _models_in(cls)
    for model in reached:
        reached += [inner for inner in _models_in(model) if inner not in reached]
    return cls in reached


def _models_in(cls: _Class) -> list[_Class]:
    """Return the classes of the models that the members of a model hold."""
    kinds = [member.kind for member in members_of(cls)]
    for kind in kinds:
        kinds += get_args(kind)
    return [kind for kind in kinds if attrs.has(kind)]


def _read(kind: Any, form: _Form, value: object) -> Any:
    """Read a value, a second time part by part if need be, which says where it is wrong."""
    read: Read = _converter(form).get_structure_hook(kind)
    try:
        return read(value)
    except (Kept, Mismatch):
        if attrs.has(kind):
            return read(value, closely=True)
        if get_origin(kind) not in {list, dict}:
            raise
    read_item = functools.partial(_read, get_args(kind)[-1], form)
    if get_origin(kind) is list:
        return [_at(f"[{index}]", read_item, item) for index, item in enumerate(read_list(value))]
    # The key is data, and may be as private as the value.
    return {key: _at("[*]", read_item, item) for key, item in read_map(value).items()}


def _at(step: str, read: Read, value: object) -> Any:
    try:
        return read(value)
    except Mismatch as mismatch:
        raise mismatch.inside(step) from None


@functools.cache
def _reader(cls: _Class, *, form: _Form) -> Read:
    # Made at the first call: a model may hold others of its own class.
    readers: _Readers | None = None
    is_wire = form is _Form.WIRE
    members = members_of(cls)
    flat = [
        (member.name, _keys_of(member.kind, form), _reader(member.kind, form=form))
        for member in members
        if member.flat and is_wire
    ]
    missing = [(member.name, make) for member in members if (make := _assumes(member))]
    new = cls.__new__
    two_names = {member.name: member.key for member in members if member.name != member.key}
    other_names = frozenset(two_names)
    slots = [member.slot for member in members]

    def read(value: Any, _: object = None, *, closely: bool = False) -> Any:
        nonlocal readers
        if readers is None:
            readers = _member_readers(cls, form)
        if is_wire:
            # The constructor takes longer. The two hidden members are made when somebody asks.
            model = new(cls)
            for slot in slots:
                setattr(model, slot, None)
        else:
            model = cls()
        assumed: _Object = {}
        others: _Object = {}
        # Most are dicts; asking for the class spares a call, as it does for each member.
        document: _Object = value if value.__class__ is dict else read_object(value)
        if not is_wire and not other_names.isdisjoint(document):
            _require_one_spelling(two_names, document)
        for key, item in document.items():
            if key not in readers:
                others[key] = item
            elif item is not None and not closely:
                slot, read_member, kind = readers[key]
                setattr(model, slot, item if item.__class__ is kind else read_member(item))
        if closely:
            _read_closely(model, form, document, assumed)
        for name, keys, read_flat in flat:
            own = {key: others.pop(key) for key in keys if key in others}
            setattr(model, name, read_flat(own, closely=closely))
        if others:
            read_map(others)
            if not is_wire:
                raise _unknown_member(cls, str(next(iter(others))))
            kept = {key: copy_json(item) for key, item in others.items() if item is not None}
            model.unknown_fields = model.unknown_fields | kept if closely else kept
        if not is_wire:
            return model
        for name, make in missing:
            if getattr(model, name) is None:
                setattr(model, name, make(model))
                assumed[name] = make(model)
        if assumed:
            model.assumed_fields = assumed
        return model

    return read


def _assumes(member: Member) -> Callable[[Any], Any] | None:
    """Return what makes the value of a member that is missing on the wire, from its model."""
    if hasattr(member.default, "factory"):
        make: Callable[[], Any] = get_origin(member.kind)
        return lambda _: make()
    return member.assumed


def _member_readers(cls: _Class, form: _Form) -> _Readers:
    converter = _converter(form)
    readers: _Readers = {}
    for key, member in _spellings(cls, form):
        read: Read = _own_reader(member, form) or converter.get_structure_hook(member.kind)
        readers[key] = member.slot, read, _READ_AS_THEY_ARE.get(read)
    return readers


def _read_closely(model: Any, form: _Form, document: _Object, assumed: _Object) -> None:
    """Set all members, where one is kept or wrong."""
    for key, member in _spellings(type(model), form):
        if (value := document.get(key)) is None:
            continue
        read = _own_reader(member, form) or functools.partial(_read, member.kind, form)
        try:
            setattr(model, member.name, _at(key, read, value))
        except Kept as kept:
            setattr(model, member.name, kept.value)
            # Of its own: the caller may change the other one.
            assumed[member.name] = copy_json(kept.value)
            model.unknown_fields[key] = copy_json(value)


def _spellings(cls: _Class, form: _Form) -> list[tuple[str, Member]]:
    """Return the members as :func:`_members_of` does, and under the other names they may have."""
    members = _members_of(cls, form)
    if form is _Form.DOCUMENT:
        members += _members_of(cls, _Form.SNAKE)
    return members


def _require_one_spelling(names: Mapping[str, str], document: _Object) -> None:
    """Raise where a document has a member under both of its names."""
    for name in names.keys() & document.keys():
        if names[name] in document:
            raise Mismatch(f"is given twice, also as {names[name]}", name)


def _unknown_member(cls: _Class, name: str) -> Mismatch:
    keys = {member.name: member.key for member in members_of(cls)}
    meant = alike(name, keys)
    likely = "" if meant is None else f", and {keys[meant]} is one"
    return Mismatch(f"is not a known member{likely}", name)


def _own_reader(member: Member, form: _Form) -> Read | None:
    """Return what reads a member, where its type does not tell."""
    if form is not _Form.WIRE:
        return None
    if member.is_fuzzy_date:
        return read_fuzzy_date
    return member.reads or STORED_SCALARS.get(member.kind)


def _list_reader(kind: Any, form: _Form) -> Read:
    read_item: Read = _converter(form).get_structure_hook(get_args(kind)[0])

    def read(value: Any, _: object = None) -> list[Any]:
        # Asking for the class spares two calls.
        items: list[Any] = value if value.__class__ is list else read_list(value)
        return list(map(read_item, items)) if items else []

    return {SCALARS[str]: read_texts, SCALARS[float]: read_numbers}.get(read_item, read)


def _map_reader(kind: Any, form: _Form) -> Read:
    read_item: Read = _converter(form).get_structure_hook(get_args(kind)[1])

    def read(value: Any, _: object = None) -> _Object:
        if value.__class__ is dict and not value:
            return {}
        return {key: read_item(item) for key, item in read_map(value).items()}

    return read


# --- Writing --------------------------------------------------------------------------------------


@functools.cache
def _writer(cls: _Class, *, form: _Form) -> _Write:
    # Made at the first call: a model may hold others of its own class.
    write_members: _Write | None = None
    known = _keys_of(cls, form)
    members = members_of(cls)
    key_of = {member.name: member.wire for member in members}
    flat = [(member.name, _writer(member.kind, form=form)) for member in members if member.flat]

    def write(model: Any) -> _Object:
        nonlocal write_members
        if write_members is None:
            write_members = _generated(cls, form)
        document = write_members(model)
        if form is not _Form.WIRE:
            return document
        for name, write_flat in flat:
            if (value := getattr(model, name)) is not None:
                document.update(write_flat(value))
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


# --- The generator --------------------------------------------------------------------------------


@functools.cache
def _converter(form: _Form) -> Converter:
    # The import takes longer than that of all models.
    from cattrs import Converter

    converter = Converter(detailed_validation=False)
    for kind, read in SCALARS.items():
        converter.register_structure_hook(kind, read)
    converter.register_structure_hook_func(_is_made_from(Literal), SCALARS[str])
    converter.register_structure_hook_func(_is_any, read_json)
    for is_kind, make in (
        (attrs.has, _reader),
        (_is_made_from(list), _list_reader),
        (_is_made_from(dict), _map_reader),
    ):
        converter.register_structure_hook_factory(is_kind, functools.partial(make, form=form))
    converter.register_unstructure_hook(bytes, write_bytes)
    converter.register_unstructure_hook_factory(attrs.has, functools.partial(_writer, form=form))
    return converter


def _is_any(kind: object) -> bool:
    return kind is Any


def _is_made_from(origin: object) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _generated(cls: _Class, form: _Form) -> _Write:
    """Return what writes the members that are not None."""
    # As cattrs declares them, their types are unknown in part.
    gen = importlib.import_module("cattrs.gen")
    attributes = attrs.fields_dict(cls)
    fields: list[attrs.Attribute[Any]] = []
    overrides: _Object = {}
    for key, member in _members_of(cls, form):
        fields.append(attributes[member.name].evolve(type=member.kind, default=None))
        overrides[member.name] = gen.override(rename=key)
    write: _Write = gen.make_dict_unstructure_fn_from_attrs(
        fields, cls, _converter(form), _cattrs_omit_if_default=True, **overrides
    )
    return write


def _members_of(cls: _Class, form: _Form) -> list[tuple[str, Member]]:
    """Return the members that are one member of the JSON, each with its name there."""
    if form is not _Form.WIRE:
        return [(_name_in(form, member), member) for member in members_of(cls)]
    return [(member.wire, member) for member in members_of(cls) if not member.flat]


def _name_in(form: _Form, member: Member) -> str:
    return member.key if form is _Form.DOCUMENT else member.name


def _keys_of(cls: _Class, form: _Form) -> frozenset[str]:
    """Return the names of all members that a class knows."""
    own = frozenset(key for key, _ in _members_of(cls, form))
    if form is not _Form.WIRE:
        return own
    return own.union(*(_keys_of(m.kind, form) for m in members_of(cls) if m.flat))
