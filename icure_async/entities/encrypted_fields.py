"""Further members of records that an application has encrypted, beyond those that always are.

A missing one is encrypted as missing: of what the backend shows in clear next to that, nothing is
believed. Records in which some are in clear were saved by another SDK, or before the application
asked for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_origin

import attrs

from icure_async.entities.encrypted_self import ENCRYPTED_SELF, encrypted_parts
from icure_async.entities.manifests import NO_MANIFEST, SET_ON_SAVING
from icure_async.errors import ConflictError, DecryptionError, ValidationError
from icure_async.mistakes import did_you_mean
from icure_async.models.base import EntityModel
from icure_async.models.fields import Member, members_of
from icure_async.models.wire import from_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from icure_async.entities.kinds import EntityKind

__all__ = [
    "encrypting",
    "exposed_fields",
    "refuse_exposing",
    "refuse_exposing_content",
    "with_missing",
    "without_hidden_dates",
]

_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})
# Other SDKs read null for these as an error.
_NOTHING: Final[Mapping[object, object]] = {list: [], dict: {}}

Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)


def encrypting(kind: EntityKind[Clear, Sealed], fields: Iterable[str]) -> EntityKind[Clear, Sealed]:
    """Return a kind of records of which further members are encrypted, and those that repeat them.

    A member that repeats others, and was chosen itself, no longer provides them in clear.

    Args:
        kind: the records.
        fields: attributes of their class.

    Raises:
        ValidationError: one is unknown, or has to stay in clear.
    """
    if isinstance(fields, str | bytes | Mapping) or not isinstance(fields, Iterable):
        raise ValidationError(f"The encrypted fields of a {kind.noun} must be a list of names.")
    by_name = {member.name: member for member in _members_of(kind)}
    chosen: dict[str, None] = {}
    names: dict[str, None] = {}
    for name in fields:
        _check(kind, by_name, name)
        chosen[name] = names[name] = None
        if name in kind.repeated_in:
            names[kind.repeated_in[name]] = None
    further = {
        by_name[name].wire: _missing(kind, by_name[name])
        for name in names
        if by_name[name].wire not in kind.encrypted
    }
    return attrs.evolve(
        kind,
        encrypted=(*kind.encrypted, *further),
        also_encrypted={**kind.also_encrypted, **further},
        complete=_completing(kind, chosen, by_name),
    )


def with_missing(kind: EntityKind[Any, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document about to be encrypted, with a value for each missing further member."""
    missing = {
        name: value for name, value in kind.also_encrypted.items() if document.get(name) is None
    }
    return {**document, **missing}


def exposed_fields(kind: EntityKind[Any, Any], document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the attributes of those further members that a stored document shows in clear.

    A value that backends fill in where nothing is stored does not count.
    """
    exposed = [
        name
        for name in kind.also_encrypted
        if (value := document.get(name)) not in _EMPTY and value != kind.server_defaults.get(name)
    ]
    return tuple(member.name for member in _members_of(kind) if exposed and member.wire in exposed)


def refuse_exposing(
    kind: EntityKind[Any, Any],
    document: Mapping[str, Any],
    stored: Mapping[str, Any],
    *,
    is_own: bool,
) -> None:
    """Refuse to store in clear a value that is to be encrypted and can't be.

    One that lies on the backend in clear already may stay.

    Args:
        kind: the record.
        document: what is to be stored.
        stored: what is stored.
        is_own: whether it is the user's own record; else no key opens it.

    Raises:
        DecryptionError: there is such a value, and no key that opens the record.
        ValidationError: there is such a value in the user's own record.
        ConflictError: somebody else changed the record.
    """
    ours = from_wire(kind.sealed, document)
    theirs = from_wire(kind.sealed, kind.complete(stored))
    changed = [
        name
        for name in exposed_fields(kind, document)
        if getattr(ours, name) != getattr(theirs, name)
    ]
    if not changed:
        return
    name, fields = f"{kind.noun.capitalize()} {document['id']}", ", ".join(changed)
    if stored.get("rev") != document.get("rev"):
        raise ConflictError(
            f"{name} has another rev by now. Read it again, apply the change to what you read, and "
            "save that.",
            status=409,
        )
    if is_own:
        raise ValidationError(
            f"{name} is the user's own record, of which the backend needs {fields} in clear, and "
            "with_encrypted_fields() has them encrypted. Nothing was sent. Change them with an API "
            "object that was built without it."
        )
    raise DecryptionError(
        f"{name} can't be given another {fields}: with_encrypted_fields() has that encrypted, and "
        f"no key on this device opens the record. Nothing was sent. {kind.unreadable_advice}",
        entity_type=kind.noun,
        entity_ids=[document["id"]],
    )


def refuse_exposing_content(
    kind: EntityKind[Any, Any], document: Mapping[str, Any], stored: Mapping[str, Any]
) -> None:
    """Refuse to store in clear what today's SDKs encrypt, in a record that no key opens.

    The same goes for lists in which something is encrypted, also by other rules than those.

    Args:
        kind: the record.
        document: what is to be stored.
        stored: what is stored.

    Raises:
        DecryptionError: there is such a value, and it does not lie in clear already.
    """
    is_of_today = kind.is_of_today or stored.get("securityMetadata")
    manifest = kind.of_today if is_of_today else NO_MANIFEST
    lists = {path.partition(".")[0] for path in manifest.inside}
    parts = {*encrypted_parts(stored)} - {ENCRYPTED_SELF}
    changed = [
        name
        for name in {*manifest.members, *lists, *parts} - SET_ON_SAVING
        if document.get(name) not in _EMPTY and document[name] != stored.get(name)
    ]
    if changed:
        raise DecryptionError(
            f"{kind.noun.capitalize()} {document['id']} can't be given another "
            f"{', '.join(sorted(changed))}: that is encrypted, and no key on this device opens the "
            f"record. Nothing was sent. {kind.unreadable_advice}",
            entity_type=kind.noun,
            entity_ids=[document["id"]],
        )


def without_hidden_dates(document: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document that no key opens without the dates that are encrypted in it."""
    hidden = SET_ON_SAVING if stored.get(ENCRYPTED_SELF) else ()
    return {
        name: value
        for name, value in document.items()
        if name not in hidden or stored.get(name) is not None
    }


def _completing(
    kind: EntityKind[Any, Any], chosen: Collection[str], by_name: Mapping[str, Member]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return a completion that puts nothing into clear that follows from a member to encrypt."""
    in_clear = [
        by_name[name].wire
        for name, repeating in kind.repeated_in.items()
        if repeating in chosen and name not in chosen
    ]
    if not in_clear:
        return kind.complete

    def complete(document: Mapping[str, Any]) -> dict[str, Any]:
        completed = kind.complete(document)
        as_it_was = {name: document[name] for name in in_clear if name in document}
        return {k: v for k, v in completed.items() if k not in in_clear} | as_it_was

    return complete


def _members_of(kind: EntityKind[Any, Any]) -> tuple[Member, ...]:
    cls: Any = kind.clear
    return members_of(cls)


def _check(kind: EntityKind[Any, Any], by_name: Mapping[str, Member], name: object) -> None:
    if not isinstance(name, str):
        raise ValidationError(f"The encrypted fields of a {kind.noun} must be names.")
    if name not in by_name:
        raise ValidationError(
            f"A {kind.clear.__name__} has no attribute {name!r} that could be encrypted"
            + did_you_mean(name, by_name.keys() - kind.never_encrypted)
        )
    if name in kind.never_encrypted:
        raise ValidationError(
            f"The {name} of a {kind.noun} can't be encrypted: backends need it in clear. Leave it "
            "out of the list."
        )


def _missing(kind: EntityKind[Any, Any], member: Member) -> object:
    """Return the value of a missing member, as its type on other SDKs allows it."""
    empty = _NOTHING.get(get_origin(member.kind))
    return kind.server_defaults.get(member.wire, empty)
