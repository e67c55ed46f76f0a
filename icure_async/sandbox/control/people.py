"""People, placed in the sandbox as a registration would have left them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import attrs

from icure_async.sandbox import chance
from icure_async.sandbox.access import DATA_OWNER_KINDS, user_is_admin
from icure_async.sandbox.auth import users_named
from icure_async.sandbox.contacts import is_email, is_phone
from icure_async.sandbox.control import legacy_keys, todays_keys
from icure_async.sandbox.data_owners import find_data_owner
from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.hashing import SlowHashes
from icure_async.sandbox.links import key_target
from icure_async.sandbox.shapes import is_string_list
from icure_async.sandbox.users import add_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.models.key_pair import KeyPair
    from icure_async.sandbox.master import MasterHcp
    from icure_async.sandbox.store import Json, Transaction

__all__ = [
    "PersonKind",
    "SandboxFlavour",
    "SandboxPerson",
    "Wishes",
    "is_published",
    "owner_ids_of",
    "place",
]

PersonKind = Literal["patient", "professional", "device"]
"""The kinds of people that have key pairs; a device counts as one."""

SandboxFlavour = Literal["medtech", "cardinal"]
"""The flavours of iCure: that of 2023, and that of today."""

_KIND_IN_STORE: Final[dict[PersonKind, str]] = {
    "patient": "patient",
    "professional": "hcparty",
    "device": "device",
}
_LINK: Final[dict[PersonKind, str]] = {
    "patient": "patientId",
    "professional": "healthcarePartyId",
    "device": "deviceId",
}
_TOKEN_SECONDS: Final = 30 * 24 * 3600
_FIRST_NAMES: Final = ("Ada", "Ben", "Cleo", "Dario", "Emma", "Farid", "Greta", "Hugo")
_LAST_NAMES: Final = ("Adams", "Baker", "Cohen", "Dumont", "Evans", "Fontaine", "Groen", "Haddad")


@attrs.frozen(kw_only=True)
class SandboxPerson:
    """Somebody who was placed in the sandbox, with everything that is needed to log in as them.

    Attributes:
        kind: "patient", "professional" or "device".
        data_owner_id: id of the patient, the professional or the device.
        user_id: id of the user.
        login: the login: the email address, or else the phone number.
        token: works as the password for 30 days, by the sandbox's clock.
        key_pair: the key pair, of which the public half is published.
        phone_number: the phone number, if there is one.
        email: the email address, if there is one.
        first_name: the first name.
        last_name: the last name.
        flavour: the flavour in which the keys were published.
        group_id: id of the group.
    """

    kind: PersonKind
    data_owner_id: str
    user_id: str
    login: str
    token: str = attrs.field(repr=False)
    key_pair: KeyPair = attrs.field(repr=False)
    phone_number: str | None
    email: str | None
    first_name: str
    last_name: str
    flavour: SandboxFlavour
    group_id: str


@attrs.frozen(kw_only=True)
class Wishes:
    """A person to place, as it was asked for.

    Raises:
        ValueError: if something of it makes no sense.
        TypeError: if something is of the wrong type.
    """

    kind: PersonKind
    first_name: str | None = None
    last_name: str | None = None
    phone_number: str | None = None
    email: str | None = None
    flavour: SandboxFlavour = "medtech"
    group_id: str | None = None
    shares_with: tuple[str, ...] | None = None

    def __attrs_post_init__(self) -> None:
        _check_choice("kind", self.kind, get_args(PersonKind))
        _check_choice("flavour", self.flavour, get_args(SandboxFlavour))
        for name in ("first_name", "last_name", "phone_number", "email", "group_id"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value.strip()):
                raise TypeError(f"{name} must be a text that is not empty")
        if self.email is not None and not is_email(self.email):
            raise ValueError("email must be an email address")
        if self.phone_number is not None and not is_phone(self.phone_number):
            raise ValueError("phone_number must be a phone number")


def _check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}")


def owner_ids_of(owners: Iterable[str | SandboxPerson | MasterHcp]) -> tuple[str, ...]:
    """Return the ids of data owners.

    Raises:
        TypeError: if one is neither an id nor a person.
    """
    if isinstance(owners, str):
        raise TypeError("shares_with must be a list of ids or people, not one text")
    ids: list[Any] = [getattr(owner, "data_owner_id", owner) for owner in owners]
    if not is_string_list(ids):
        raise TypeError("shares_with must be a list of ids or people")
    return tuple(ids)


def is_published(tx: Transaction, public_key: str) -> bool:
    """Return whether a data owner of any group has this public key."""
    target = key_target(public_key)
    return any(
        next(group.linked(kind, "publicKey", target), None) is not None
        for group in tx.groups()
        for kind in DATA_OWNER_KINDS
    )


def place(tx: Transaction, wishes: Wishes, key_pair: KeyPair, now_ms: int) -> SandboxPerson:
    """Store a user and its data owner, as a registration by an SDK leaves them.

    Only the login token of the registration is missing, which expires after ten minutes.

    Raises:
        ValueError: if the group or somebody to share with is unknown, or the contact is taken.
    """
    group = tx if wishes.group_id is None else tx.in_group(wishes.group_id)
    if group is None:
        raise ValueError("group_id: there is no such group. create_group() makes one")
    delegates = _delegates(group, wishes)
    wishes = _completed(group, wishes)
    person = SandboxPerson(
        kind=wishes.kind,
        data_owner_id=chance.new_id(),
        user_id=chance.new_id(),
        login=wishes.email or wishes.phone_number or "",
        token=chance.new_id(),
        key_pair=key_pair,
        phone_number=wishes.phone_number,
        email=wishes.email,
        first_name=wishes.first_name or "",
        last_name=wishes.last_name or "",
        flavour=wishes.flavour,
        group_id=group.group_id,
    )
    make = _place_keys_of_2023 if wishes.flavour == "medtech" else _place_keys_of_today
    make(group, person, delegates, now_ms)
    group.put("user", _user(person, [delegate["id"] for _, delegate in delegates], now_ms))
    return person


# --- Wishes ---------------------------------------------------------------------------------------

_Delegate = tuple[str, "Json"]


def _delegates(group: Transaction, wishes: Wishes) -> list[_Delegate]:
    """Return whom to share with: the kind and the document of each."""
    if wishes.shares_with is not None:
        ids = list(dict.fromkeys(wishes.shares_with))
    else:
        ids = [_professional_of(group)] if wishes.kind == "patient" else []
    found: list[_Delegate] = []
    for owner_id in ids:
        owner = find_data_owner(group, owner_id)
        if owner is None:
            raise ValueError(f"shares_with: there is no data owner {owner_id!r} in this group")
        kind, _type, document = owner
        found.append((kind, document))
    return found


def _professional_of(group: Transaction) -> str:
    """Return the id of the professional who administers a group, and invites its patients."""
    for user in group.all("user"):
        if user_is_admin(user) and user.get("healthcarePartyId"):
            return str(user["healthcarePartyId"])
    raise ValueError("shares_with: this group has no administrator: name a professional, or ()")


def _completed(group: Transaction, wishes: Wishes) -> Wishes:
    """Return the wishes with names and a contact."""
    contacts = [contact for contact in (wishes.email, wishes.phone_number) if contact]
    if any(users_named(group, contact) for contact in contacts):
        raise ValueError("Another user of this group has this email or phone_number")
    phone_number = wishes.phone_number
    while not contacts and (phone_number is None or users_named(group, phone_number)):
        phone_number = f"+32470{chance.digits(6)}"
    return attrs.evolve(
        wishes,
        first_name=wishes.first_name or chance.one_of(_FIRST_NAMES),
        last_name=wishes.last_name or chance.one_of(_LAST_NAMES),
        phone_number=phone_number,
    )


# --- Documents ------------------------------------------------------------------------------------


def _revision(number: int) -> str:
    return f"{number}-{chance.token_hex(16)}"


def _user(person: SandboxPerson, shares_with: list[str], now_ms: int) -> Json:
    user: Json = {
        "id": person.user_id,
        "rev": _revision(3),
        "created": now_ms,
        "name": person.login,
        "login": person.login,
        "status": "ACTIVE",
        "groupId": person.group_id,
        _LINK[person.kind]: person.data_owner_id,
    }
    if person.email is not None:
        user["email"] = person.email
    if person.phone_number is not None:
        user["mobilePhone"] = person.phone_number
    if shares_with:
        user["autoDelegations"] = {"all": shares_with}
    add_token(
        user,
        chance.new_id(),
        person.token,
        now_ms=now_ms,
        validity=_TOKEN_SECONDS,
        slow=SlowHashes(),
    )
    return user


def _owner(person: SandboxPerson) -> Json:
    """Return the document of a data owner before it has keys, without its times."""
    telecoms = [
        {"telecomType": telecom_type, "telecomNumber": number}
        for telecom_type, number in (("email", person.email), ("mobile", person.phone_number))
        if number
    ]
    owner: Json = {"id": person.data_owner_id, "rev": _revision(2)}
    if person.kind == "device":
        return owner | {"name": f"{person.first_name} {person.last_name}"}
    owner |= {
        "firstName": person.first_name,
        "lastName": person.last_name,
        "addresses": [{"addressType": "home", "telecoms": telecoms}],
    }
    if person.kind == "professional":
        return owner | {"userId": person.user_id}
    return owner | {
        "author": person.user_id,
        "responsible": person.data_owner_id,
        "names": [_official_name(person)],
    }


def _official_name(person: SandboxPerson) -> Json:
    return {
        "firstNames": [person.first_name],
        "lastName": person.last_name,
        "text": f"{person.last_name} {person.first_name}",
        "use": "official",
    }


def _place_keys_of_2023(
    group: Transaction, person: SandboxPerson, delegates: list[_Delegate], now_ms: int
) -> None:
    owner = _owner(person) | {"created": now_ms, "modified": now_ms}
    is_patient = person.kind == "patient"
    exchange_keys = legacy_keys.add_keys(
        owner, person.key_pair, [delegate for _, delegate in delegates] if is_patient else []
    )
    if is_patient:
        legacy_keys.seal_own_record(owner, exchange_keys)
    kind = _KIND_IN_STORE[person.kind]
    group.put(kind, SCHEMAS[kind].read(owner))


def _place_keys_of_today(
    group: Transaction, person: SandboxPerson, delegates: list[_Delegate], _now_ms: int
) -> None:
    owner = _owner(person)
    owner[todays_keys.TODAYS_KEYS] = [person.key_pair.public_key]
    if person.kind == "patient":
        _seal_todays_record(group, person, owner, delegates)
    group.put(_KIND_IN_STORE[person.kind], owner)


_DEFAULTS_OF_PATIENTS: Final[dict[str, Any]] = {
    "gender": "unknown",
    "birthSex": "unknown",
    "active": True,
    "deactivationReason": "none",
    "personalStatus": "unknown",
}
"""The values that the backend fills in when a patient is saved."""


def _seal_todays_record(
    group: Transaction, person: SandboxPerson, owner: Json, delegates: list[_Delegate]
) -> None:
    owner |= _DEFAULTS_OF_PATIENTS | {"rev": _revision(3)}

    def exchange(delegate: Json, kind: str) -> todays_keys.Exchange:
        return todays_keys.new_exchange(
            person.data_owner_id, person.key_pair, delegate, names_delegate=kind == "hcparty"
        )

    own = exchange(owner, "patient")
    others = [exchange(delegate, kind) for kind, delegate in delegates]
    for made in (own, *others):
        group.put("exchangedata", made.document)
        if made.map_document is not None:
            group.put("exchangedatamap", made.map_document)
    todays_keys.seal_own_record(owner, own, others)
