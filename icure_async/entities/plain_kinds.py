"""The kinds of records that are not encrypted, and where they differ: a row for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from icure_async.entities.professional_names import complete_professional_names, renamed
from icure_async.entities.record_ids import IDS_PER_REQUEST, one_id
from icure_async.entities.wholeness import KEY_MATERIAL
from icure_async.models.base import EntityModel
from icure_async.models.coding import Coding
from icure_async.models.coding_ids import validate_coding_id
from icure_async.models.healthcare_professional import HealthcareProfessional
from icure_async.models.medical_device import MedicalDevice
from icure_async.models.user import User
from icure_async.models.user_rules import validate_user_for_saving
from icure_async.models.validation import (
    coding_id_of,
    validate_coding_for_saving,
    validate_device_for_saving,
    validate_professional_for_saving,
    validate_record_for_saving,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from icure_async.entities.kinds import Validate

__all__ = ["CODING", "HEALTHCARE_PROFESSIONAL", "MEDICAL_DEVICE", "USER", "PlainKind"]

Record = TypeVar("Record", bound=EntityModel)


def _validate_members(kind: PlainKind[Any]) -> Validate:
    def validate(record: Any, /, *, creating: bool) -> None:
        validate_record_for_saving(record, (kind.clear,), kind.noun, creating=creating)

    return validate


def _one_id_of(kind: PlainKind[Any]) -> Callable[[object], str]:
    return lambda record_id: one_id(record_id, kind.noun)


def _as_changed(_: Mapping[str, Any], wire: Mapping[str, Any], /) -> dict[str, Any]:
    return dict(wire)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PlainKind(Generic[Record]):
    """One kind of record that is not encrypted.

    Attributes:
        noun: the kind in words, in the singular.
        route: the first segment of its paths on the backend.
        clear: the class of its records.
        keys: wire names of the members that hold keys of a data owner. They are written back as
            they are stored, whatever a record says.
        filled: wire names of the members that the backend fills in where they are missing.
        ignored: wire names of the members that an answer may have otherwise than they were sent.
        ids_per_request: how many records to ask for at a time.
        complete: adds to a document what follows from its members.
        follow: adds to a changed document what follows from the changes; its first argument is the
            stored document.
        validate: checks a record before it is saved; by default, that its members are well-formed.
        check_id: returns an id as a caller passed it, or raises a ValidationError.
        id_of: makes the id of a new record of its members; None for one that is made by chance.
    """

    noun: str
    route: str
    clear: type[Record]
    keys: tuple[str, ...] = ()
    filled: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    ids_per_request: int = IDS_PER_REQUEST
    complete: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    follow: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]] = _as_changed
    validate: Validate = attrs.field(default=attrs.Factory(_validate_members, takes_self=True))
    check_id: Callable[[object], str] = attrs.field(
        default=attrs.Factory(_one_id_of, takes_self=True)
    )
    id_of: Callable[[Record], str] | None = None


def _validate_coding(coding: Coding, *, creating: bool) -> None:
    validate_coding_for_saving(coding, creating=creating)
    validate_coding_id(coding_id_of(coding))


def _with_login(user: Mapping[str, Any]) -> dict[str, Any]:
    """Return a user's document with the login that backends give one without, and no blank name."""
    names = [name for name in ("login", "email", "mobilePhone") if (user.get(name) or "").strip()]
    blank = {"login", "email", "mobilePhone"} - set(names)
    named = {name: value for name, value in user.items() if name not in blank}
    return named | {"login": user[names[0]]} if names else named


CODING: Final = PlainKind(
    noun="coding",
    route="code",
    clear=Coding,
    filled=frozenset({"author"}),
    validate=_validate_coding,
    check_id=validate_coding_id,
    id_of=coding_id_of,
)

HEALTHCARE_PROFESSIONAL: Final = PlainKind(
    noun="healthcare professional",
    route="hcparty",
    clear=HealthcareProfessional,
    keys=KEY_MATERIAL,
    filled=frozenset({"created", "modified"}),
    # Their ids go into the path.
    ids_per_request=50,
    complete=complete_professional_names,
    follow=renamed,
    validate=validate_professional_for_saving,
)

MEDICAL_DEVICE: Final = PlainKind(
    noun="medical device",
    route="device",
    clear=MedicalDevice,
    keys=KEY_MATERIAL,
    filled=frozenset({"author", "created", "modified", "responsible"}),
    validate=validate_device_for_saving,
)

USER: Final = PlainKind(
    noun="user",
    route="user",
    clear=User,
    filled=frozenset({"created", "groupId"}),
    # Backends hide secrets, and keep tokens and the second factor where they are not sent.
    ignored=frozenset({"authenticationTokens", "passwordHash", "secret", "use2fa"}),
    complete=_with_login,
    validate=validate_user_for_saving,
)
