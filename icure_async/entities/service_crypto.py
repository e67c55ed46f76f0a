"""Services opened and sealed with the keys of their contacts, which are looked up once for each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from icure_async.crypto.threads import SHORT_STEPS, Turns
from icure_async.entities.contact_services import metadata_of
from icure_async.entities.contents import ciphertext_of, is_encrypted, opened_service
from icure_async.entities.encrypted_self import ENCRYPTED_SELF, encrypt_members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.encrypted_self import EncryptedIn
    from icure_async.entities.metadata import EntityKeys

__all__ = ["OpenedService", "ServiceCrypto", "envelope_of", "group_of"]

Taken = TypeVar("Taken")
Group = tuple[str, str]
"""The contact of a service, and its delegations and keys as text."""

_SOMETHING: Final = "something"


@attrs.frozen(eq=False, repr=False)
class OpenedService:
    """A service in clear, and the key that opened it; None where nothing in it is encrypted.

    Its repr shows neither.
    """

    document: Mapping[str, Any]
    key: bytes | None


def group_of(row: Mapping[str, Any]) -> Group:
    """Return the same value for all services of an answer that have the same keys."""
    return str(row.get("contactId") or row["id"]), json.dumps(metadata_of(row))


def envelope_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an answer says of the contact of a service: its id, delegations and keys."""
    return {
        **metadata_of(row),
        "id": str(row.get("contactId") or row["id"]),
        # Keys that name an older contact count only where something is encrypted with them.
        ENCRYPTED_SELF: ciphertext_of(row) or _SOMETHING,
    }


class ServiceCrypto:
    """Opens and seals services on behalf of the current data owner."""

    def __init__(self, crypto: Crypto, keys: EntityKeys) -> None:
        self._crypto = crypto
        self._keys = keys

    async def open_each(
        self,
        rows: Sequence[Mapping[str, Any]],
        take: Callable[[Mapping[str, Any], OpenedService | None], Taken],
    ) -> list[Taken]:
        """Open services, and return what is made of each; one that stays closed is no hindrance.

        Args:
            rows: services as the backend answers with them: with the keys of their contacts.
            take: makes something of a service and the same in clear, if a key opens it.
        """
        turns = Turns()
        taken: dict[int, Taken] = {}
        closed: dict[Group, dict[int, Mapping[str, Any]]] = {}
        for index, row in enumerate(rows):
            if not index % SHORT_STEPS:
                await turns.give()
            if is_encrypted(row):
                closed.setdefault(group_of(row), {})[index] = row
            else:
                taken[index] = take(row, OpenedService(row, None))
        for source in self._keys.sources:
            if not closed:
                break
            groups = list(closed)
            envelopes = [envelope_of(next(iter(closed[group].values()))) for group in groups]
            found = await source.keys_of(envelopes)
            for group, keys in zip(groups, found, strict=True):
                for index, row in list(closed[group].items()) if keys else ():
                    await turns.give()
                    opened = await self._try(row, keys)
                    if opened is not None:
                        taken[index] = take(row, opened)
                        del closed[group][index]
                if not closed[group]:
                    del closed[group]
        for left in closed.values():
            for index, row in left.items():
                taken[index] = take(row, None)
        return [taken[index] for index in range(len(rows))]

    async def open_many(self, rows: Sequence[Mapping[str, Any]]) -> list[OpenedService | None]:
        """Return services in clear, and None for those that no key opens."""
        return await self.open_each(rows, lambda _, opened: opened)

    async def seal(
        self, service: Mapping[str, Any], key: bytes, inside: EncryptedIn
    ) -> dict[str, Any]:
        """Return a service as it is to be stored, encrypted with the key of its contact.

        Args:
            service: in clear, next to the ``encryptedSelf`` that it had.
            key: the key.
            inside: the members to encrypt in the elements of the lists of a contact.

        Raises:
            ValueError: its ``encryptedSelf`` is of another contact, or it is not JSON.
        """
        contact = {"services": [service]}
        sealed = await encrypt_members(self._crypto, key, contact, (), inside)
        stored: dict[str, Any] = sealed["services"][0]
        return stored

    async def _try(self, row: Mapping[str, Any], keys: Iterable[bytes]) -> OpenedService | None:
        for key in keys:
            try:
                clear = await opened_service(self._crypto, key, row)
            except ValueError:
                continue
            return OpenedService(clear, key)
        return None
