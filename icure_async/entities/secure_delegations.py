"""Secure delegations: the members of ``securityMetadata`` by which entities are read today.

Each delegation is named by a delegation key, which follows from the access control secret of the
exchange data between two data owners, and holds the entity's secrets, encrypted with the exchange
key. Pure functions on wire JSON that is never changed in place. Source: today.md §5.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from icure_async.crypto.encoding import decode_base64, encode_base64
from icure_async.crypto.key_ring import AES_KEY_LENGTHS
from icure_async.json_shapes import as_list, as_object, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto

__all__ = [
    "SECURITY_METADATA",
    "Contents",
    "Parties",
    "Permission",
    "contents_of",
    "delegations_naming",
    "has_secure_delegations",
    "looks_whole",
    "open_entries",
    "parties",
    "parties_of",
    "roots_of",
    "same_delegations",
    "seal_entries",
    "sealed_contents",
    "secure_delegation",
    "secure_delegations_of",
    "security_metadata",
]

SECURITY_METADATA: Final = "securityMetadata"

Permission = Literal["READ", "WRITE"]
"""The permission that a delegation gives."""

_SECURE_DELEGATIONS: Final = "secureDelegations"
_SECRET_IDS: Final = "secretIds"  # noqa: S105
_ENCRYPTION_KEYS: Final = "encryptionKeys"
_OWNING_ENTITY_IDS: Final = "owningEntityIds"
_SEALED: Final = (_SECRET_IDS, _ENCRYPTION_KEYS, _OWNING_ENTITY_IDS)
_PARENTS: Final = "parentDelegations"
_PERMISSIONS: Final[tuple[Permission, ...]] = ("READ", "WRITE")

_PREFIX: Final = b"Cure"
"""The beginning of each entry, since CBC notices a wrong key only most of the time."""

_DELEGATION_KEY: Final = re.compile(r"[0-9a-f]{64}")
_BLOCK_BYTES: Final = 16


# --- Who a delegation names -----------------------------------------------------------------------


@attrs.frozen
class Parties:
    """The members of a delegation that say who it is from and for.

    Attributes:
        delegator: the id of the data owner it is from; None for an anonymous one.
        delegate: the id of the data owner it is for; None for an anonymous one.
        exchange_data_id: the id of their exchange data; None where one of them is anonymous.
        in_map: the one of them for whose keys an exchange data map is needed: the only one that is
            named. None where both are named, or none.
    """

    delegator: str | None = None
    delegate: str | None = None
    exchange_data_id: str | None = None

    @property
    def in_map(self) -> str | None:
        """The data owner for whose keys the id of the exchange data goes into a map."""
        if self.delegator is not None and self.delegate is not None:
            return None
        return self.delegate if self.delegator is None else self.delegator

    def members(self) -> dict[str, str]:
        """Return the members of the delegation, without those that it has not."""
        members = {
            "delegator": self.delegator,
            "delegate": self.delegate,
            "exchangeDataId": self.exchange_data_id,
        }
        return {name: value for name, value in members.items() if value is not None}


def parties(
    delegator_id: str, delegate_id: str, exchange_data_id: str, *, anonymous: Container[str]
) -> Parties:
    """Return the parties of a delegation as the table of today.md §5 has them.

    Args:
        delegator_id: who writes the delegation.
        delegate_id: whom it is for; the same for one's own.
        exchange_data_id: of the exchange data from the one to the other.
        anonymous: those data owners that no entity may name.
    """
    delegator = None if delegator_id in anonymous else delegator_id
    delegate = None if delegate_id in anonymous else delegate_id
    both = delegator is not None and delegate is not None
    return Parties(delegator, delegate, exchange_data_id if both else None)


def parties_of(delegation: Mapping[str, Any]) -> Parties:
    """Return the parties that a delegation names."""
    return Parties(*(_text(delegation.get(n)) for n in ("delegator", "delegate", "exchangeDataId")))


# --- Finding --------------------------------------------------------------------------------------


def secure_delegations_of(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the secure delegations of an entity by delegation key, malformed ones left out."""
    delegations = as_object(as_object(document.get(SECURITY_METADATA)).get(_SECURE_DELEGATIONS))
    return {name: value for name, value in delegations.items() if is_object(value)}


def has_secure_delegations(document: Mapping[str, Any]) -> bool:
    """Return whether an entity has metadata of today's flavour."""
    return bool(secure_delegations_of(document))


def delegations_naming(document: Mapping[str, Any], owner_id: str) -> dict[str, Parties]:
    """Return the parties of the delegations that name a data owner, by delegation key.

    Those with ``exchange_data_id`` say which exchange data opens them. For the others a map of
    exchange data may know, under the delegation key (today.md §7).
    """
    named = {
        name: parties_of(delegation) for name, delegation in secure_delegations_of(document).items()
    }
    return {
        name: found
        for name, found in named.items()
        if owner_id in (found.delegator, found.delegate)
    }


def roots_of(document: Mapping[str, Any]) -> list[str]:
    """Return the delegation keys of the delegations without parents."""
    return [
        name
        for name, delegation in secure_delegations_of(document).items()
        if not as_list(delegation.get(_PARENTS))
    ]


# --- Entries --------------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class Contents:
    """The secrets of an entity that a delegation gives. Its repr shows none.

    Attributes:
        secret_ids: those by which what belongs to the entity is found.
        encryption_keys: the AES keys of the entity.
        owning_entity_ids: the ids of the entities it belongs to: the patient of a contact.
    """

    secret_ids: Sequence[str] = ()
    encryption_keys: Sequence[bytes] = ()
    owning_entity_ids: Sequence[str] = ()

    def __repr__(self) -> str:
        return "Contents()"


async def seal_entries(crypto: Crypto, exchange_key: bytes, values: Iterable[bytes]) -> list[str]:
    """Return entries for a delegation: each value with its prefix, AES-encrypted, in base64.

    Args:
        crypto: the primitives.
        exchange_key: of the exchange data.
        values: raw keys, or texts as UTF-8.
    """
    return [
        encode_base64(await crypto.aes_encrypt(exchange_key, _PREFIX + value)) for value in values
    ]


async def open_entries(crypto: Crypto, exchange_key: bytes, entries: object) -> list[bytes]:
    """Return the values of those entries that an exchange key opens, without doubles.

    Args:
        crypto: the primitives.
        exchange_key: of the exchange data.
        entries: a member of a delegation, which may be of any type.
    """
    opened: dict[bytes, None] = {}
    for entry in as_list(entries):
        value = await _open_entry(crypto, exchange_key, entry)
        if value:
            opened[value] = None
    return list(opened)


async def contents_of(
    crypto: Crypto, exchange_key: bytes, delegation: Mapping[str, Any]
) -> Contents:
    """Return the secrets in a delegation that an exchange key opens, and that have their form."""
    secret_ids, keys, owning = [
        await open_entries(crypto, exchange_key, delegation.get(name)) for name in _SEALED
    ]
    return Contents(
        _texts(secret_ids),
        [key for key in keys if len(key) in AES_KEY_LENGTHS],
        _texts(owning),
    )


async def sealed_contents(
    crypto: Crypto, exchange_key: bytes, contents: Contents
) -> dict[str, list[str]]:
    """Return the secrets as members of a delegation, or of a request to share."""
    values = {
        _SECRET_IDS: [text.encode() for text in contents.secret_ids],
        _ENCRYPTION_KEYS: contents.encryption_keys,
        _OWNING_ENTITY_IDS: [text.encode() for text in contents.owning_entity_ids],
    }
    return {
        name: await seal_entries(crypto, exchange_key, found)
        for name, found in values.items()
        if found
    }


# --- Writing --------------------------------------------------------------------------------------


async def secure_delegation(
    crypto: Crypto,
    exchange_key: bytes,
    contents: Contents,
    named: Parties,
    *,
    parents: Sequence[str] = (),
    permission: Permission = "WRITE",
) -> dict[str, Any]:
    """Return a new delegation (today.md §5).

    Args:
        crypto: the primitives.
        exchange_key: of the exchange data of both.
        contents: the entity's secrets.
        named: whom it names.
        parents: delegation keys of those it follows from; none for the root.
        permission: the root's is always WRITE.

    Raises:
        ValueError: a root that may not write.
    """
    if not parents and permission != "WRITE":
        message = "a root has the permission to write"
        raise ValueError(message)
    return {
        **named.members(),
        **await sealed_contents(crypto, exchange_key, contents),
        **({_PARENTS: list(parents)} if parents else {}),
        "permissions": permission,
    }


def security_metadata(delegations: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the ``securityMetadata`` of an entity.

    Args:
        delegations: delegation key → delegation.
    """
    return {_SECURE_DELEGATIONS: {name: dict(value) for name, value in delegations.items()}}


# --- Comparing ------------------------------------------------------------------------------------


def same_delegations(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two entities have the same secure delegations.

    The order in lists says nothing (today.md §12), and empty members count as absent.
    """
    return bool(_plain(one.get(SECURITY_METADATA)) == _plain(other.get(SECURITY_METADATA)))


def looks_whole(document: Mapping[str, Any]) -> bool:
    """Return whether nothing in ``securityMetadata`` looks cut off.

    There is a root, the parents of all others are there, each delegation has a key, and names its
    exchange data where it names both parties (today.md §5). True for an entity without it.
    """
    metadata = document.get(SECURITY_METADATA)
    if not metadata:
        return True
    delegations = as_object(as_object(metadata).get(_SECURE_DELEGATIONS))
    if not delegations or not all(is_object(value) for value in delegations.values()):
        return False
    return bool(roots_of(document)) and all(
        _DELEGATION_KEY.fullmatch(name) is not None and _looks_whole(value, delegations)
        for name, value in delegations.items()
    )


def _looks_whole(delegation: Mapping[str, Any], others: Container[str]) -> bool:
    named = parties_of(delegation)
    both = named.delegator is not None and named.delegate is not None
    parents: object = delegation.get(_PARENTS) or ()
    return (
        delegation.get("permissions") in _PERMISSIONS
        and both == (named.exchange_data_id is not None)
        and bool(delegation.get(_ENCRYPTION_KEYS))
        and (not parents or is_list(parents))
        and all(isinstance(parent, str) and parent in others for parent in as_list(parents))
        and all(_are_ciphertexts(delegation.get(name) or []) for name in _SEALED)
    )


def _are_ciphertexts(entries: object) -> bool:
    return is_list(entries) and all(map(_is_ciphertext, entries))


def _is_ciphertext(entry: object) -> bool:
    try:
        content = decode_base64(entry) if isinstance(entry, str) else b""
    except ValueError:
        return False
    return len(content) >= 2 * _BLOCK_BYTES and not len(content) % _BLOCK_BYTES


def _plain(value: Any) -> Any:
    """Return metadata in one order, without what is empty."""
    if is_object(value):
        plain = {name: _plain(item) for name, item in value.items()}
        return {name: item for name, item in plain.items() if item is not None} or None
    if is_list(value):
        return sorted({repr(_plain(item)) for item in value}) or None
    return None if value == "" else value


# --- Forms ----------------------------------------------------------------------------------------


async def _open_entry(crypto: Crypto, exchange_key: bytes, entry: object) -> bytes | None:
    if not isinstance(entry, str):
        return None
    try:
        content = await crypto.aes_decrypt(exchange_key, decode_base64(entry))
    except ValueError:
        return None
    return content.removeprefix(_PREFIX) if content.startswith(_PREFIX) else None


def _texts(values: Iterable[bytes]) -> list[str]:
    return [text for value in values if (text := _utf_8(value))]


def _utf_8(value: bytes) -> str | None:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
