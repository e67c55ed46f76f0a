"""People over HTTP: placing them, and listing everybody who can log in."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async.sandbox.access import OWNER_LINKS, user_is_admin
from icure_async.sandbox.control.legacy_keys import public_keys_of
from icure_async.sandbox.control.members import members_of, text_in
from icure_async.sandbox.control.people import Wishes
from icure_async.sandbox.control.todays_keys import TODAYS_KEYS
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.master import key_pair_of, load_master
from icure_async.sandbox.shapes import is_object, is_string_list, list_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.models.key_pair import KeyPair
    from icure_async.sandbox.control.people import PersonKind, SandboxPerson
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["described", "everybody", "in_camel_case", "jwk_of", "wishes_in"]

_MEMBERS: Final = {
    "kind": "kind",
    "firstName": "first_name",
    "lastName": "last_name",
    "phoneNumber": "phone_number",
    "email": "email",
    "flavour": "flavour",
    "groupId": "group_id",
}
_KINDS: Final[dict[str, PersonKind]] = {
    "patient": "patient",
    "hcparty": "professional",
    "device": "device",
}


def wishes_in(body: Any) -> tuple[Wishes, KeyPair | None]:
    """Return the person that a body asks for, and the key pair, if it has one.

    Raises:
        ApiError: 400 that names the member that makes no sense.
    """
    members = members_of(body, (*_MEMBERS, "sharesWith", "keyPair"))
    options: dict[str, Any] = {
        option: text for name, option in _MEMBERS.items() if (text := text_in(members, name))
    }
    shares_with = members.get("sharesWith")
    if shares_with is not None:
        if not is_string_list(shares_with):
            raise bad_request("sharesWith must be a list of ids")
        options["shares_with"] = tuple(shares_with)
    options.setdefault("kind", "")
    try:
        return Wishes(**options), _key_pair_in(members.get("keyPair"))
    except (TypeError, ValueError) as error:
        raise bad_request(in_camel_case(str(error))) from None


def in_camel_case(message: str) -> str:
    """Return a message about Python's names with those of JSON."""
    for name, option in (*_MEMBERS.items(), ("sharesWith", "shares_with"), ("keyPair", "key_pair")):
        message = message.replace(option, name)
    return message


def described(person: SandboxPerson) -> Json:
    """Return a person who was placed, with token and keys."""
    members = {name: getattr(person, option) for name, option in _MEMBERS.items() if name != "kind"}
    return {
        "kind": person.kind,
        "dataOwnerId": person.data_owner_id,
        "userId": person.user_id,
        "login": person.login,
        **members,
        "publicKeys": [person.key_pair.public_key],
        "token": person.token,
        "keyPair": jwk_of(person.key_pair),
    }


def everybody(tx: Transaction, placed: Mapping[str, SandboxPerson]) -> list[Json]:
    """Return everybody who acts as a data owner, in all groups.

    Those who were placed have their token and keys, and the master has its password.
    """
    master = load_master(tx)
    people: list[Json] = []
    for group in tx.groups():
        for user in group.all("user"):
            person = _person(group, user)
            known = placed.get(user["id"])
            if person is None:
                continue
            if known is not None:
                person |= {"token": known.token, "keyPair": jwk_of(known.key_pair)}
            elif master is not None and user["id"] == master.user_id:
                person |= {"token": master.password, "keyPair": jwk_of(master.key_pair)}
            people.append(person)
    return people


def _person(group: Transaction, user: Json) -> Json | None:
    for prop, _type, kind in OWNER_LINKS:
        owner = group.get(kind, user[prop]) if user.get(prop) else None
        if owner is None:
            continue
        return {
            "kind": _KINDS[kind],
            "dataOwnerId": owner["id"],
            "userId": user["id"],
            "login": user.get("login"),
            "firstName": owner.get("firstName"),
            "lastName": owner.get("lastName"),
            "phoneNumber": user.get("mobilePhone"),
            "email": user.get("email"),
            "groupId": group.group_id,
            "isAdministrator": user_is_admin(user),
            "publicKeys": list(
                dict.fromkeys([*list_in(owner, TODAYS_KEYS), *public_keys_of(owner)])
            ),
        }
    return None


# --- JSON Web Keys --------------------------------------------------------------------------------

_PRIVATE: Final = ("n", "e", "d", "p", "q", "dp", "dq", "qi")


def jwk_of(key_pair: KeyPair) -> Json:
    """Return a key pair as two JSON Web Keys, as clients keep them (cryptography.md §1.3)."""
    # The sandbox made this key, or has checked it.
    loaded: Any = serialization.load_der_private_key(
        bytes.fromhex(key_pair.private_key), password=None, unsafe_skip_rsa_key_validation=True
    )
    numbers = loaded.private_numbers()
    public = numbers.public_numbers
    values: tuple[int, ...] = (public.n, public.e, numbers.d, numbers.p, numbers.q)
    values += (numbers.dmp1, numbers.dmq1, numbers.iqmp)
    members = {name: _encoded(value) for name, value in zip(_PRIVATE, values, strict=True)}
    return {
        "publicKey": {
            "kty": "RSA",
            "alg": "RSA-OAEP",
            "ext": True,
            "n": members["n"],
            "e": members["e"],
        },
        "privateKey": {"kty": "RSA", **members},
    }


def _key_pair_in(given: Any) -> KeyPair | None:
    """Return the key pair of a private JSON Web Key, or of the form of `jwk_of`."""
    if given is None:
        return None
    jwk: Any = given.get("privateKey", given) if is_object(given) else None
    if not is_object(jwk) or jwk.get("kty") != "RSA":
        raise ValueError("key_pair must be a private JSON Web Key, with kty RSA")
    n, e, d, p, q, dp, dq, qi = (_decoded(jwk, name) for name in _PRIVATE)
    try:
        private = rsa.RSAPrivateNumbers(
            p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n)
        ).private_key()
    except ValueError:
        raise ValueError("key_pair is no valid RSA key") from None
    return key_pair_of(private)


def _encoded(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decoded(jwk: Json, name: str) -> int:
    text = jwk.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= 1400:
        raise ValueError(f"key_pair must have {name} in base64url")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise ValueError(f"key_pair must have {name} in base64url") from None
    return int.from_bytes(raw, "big")
