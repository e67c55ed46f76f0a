"""The examination of a data owner's key pairs. Nothing is written, here or on the backend."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.exchange_keys import (
    LEGACY_KEY,
    TODAYS_KEYS,
    delegates_of,
    exchange_keys_in_view,
    exchange_keys_to,
    is_public_key,
    public_keys_of,
    published_keys_of,
)
from icure_async.crypto.key_ring import KeyRing
from icure_async.crypto.transfer_keys import recover_key_pairs, transfer_keys_of
from icure_async.entities.delegations import has_own_entry
from icure_async.entities.secure_delegations import has_secure_delegations
from icure_async.entities.wholeness import SHARES_MEMBER
from icure_async.errors import BackendError, StorageError, ValidationError
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object
from icure_async.keys.known_keys import KnownKeys
from icure_async.keys.own_record import is_new_record
from icure_async.keys.todays_transfers import exchange_keys_to_self
from icure_async.keys.trust import KeyTrust
from icure_async.models.key_pair import fingerprint_of, fingerprint_v2
from icure_async.models.key_report import KeyReport, PublishedKey
from icure_async.rest.data_owners import DATA_OWNER_KINDS
from icure_async.rest.responses import has_no_such_route

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.keys.directory import Directory
    from icure_async.keys.notices import KeyNotices
    from icure_async.models.flavour import Flavour
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.key_report import KeyStatus
    from icure_async.rest.data_owners import TypedDataOwner
    from icure_async.rest.exchange_data import ExchangeDataResource
    from icure_async.storage.protocols import KeyStorage, Storage

__all__ = ["KeyExaminer"]

_PATIENT: Final = "patient"


@attrs.frozen(eq=False, repr=False)
class _ExchangeKey:
    """An exchange key of the data owner, with somebody else or itself, of either flavour.

    Attributes:
        correspondent_id: the other one; the data owner itself for a self entry.
        openers: fingerprints of the data owner's key pairs that open it.
        is_open_to_other: whether the other one can open it too.
    """

    correspondent_id: str
    openers: frozenset[str]
    is_open_to_other: bool


class KeyExaminer:
    """Examines the key pairs of the current data owner, whether or not any of them is in use."""

    def __init__(
        self,
        directory: Directory,
        *,
        crypto: Crypto,
        key_storage: KeyStorage,
        storage: Storage,
        notices: KeyNotices,
        exchange_data: ExchangeDataResource,
        flavour: Flavour,
    ) -> None:
        self._crypto = crypto
        self._key_storage = key_storage
        self._storage = storage
        self._directory = directory
        self._notices = notices
        self._exchange_data = exchange_data
        self._is_of_today = flavour == "cardinal"

    async def examine(self) -> KeyReport:
        """Return where the key pairs are, what leads to them, and what is half-done."""
        own = await self._directory.read_own_anew()
        document = own.document
        public_keys = published_keys_of(document)
        published = [fingerprint_of(public_key) for public_key in public_keys]
        stored, problems = await self._on_device(own.id, published)
        here = {name: pair for name, pair in stored.items() if name in published}
        ring = KeyRing(self._crypto)
        for key_pair in here.values():
            await ring.add(key_pair)
        todays_keys = partial(exchange_keys_to_self, self._exchange_data, ring, own.id)
        recovered = await recover_key_pairs(
            self._crypto, ring, document, todays_keys=todays_keys if self._is_of_today else None
        )
        recoverable = {key_pair.fingerprint for key_pair in recovered}
        exchange_keys = [
            *_from(document, frozenset(published)),
            *await self._towards(own, published),
            *await self._of_today(own, public_keys),
        ]
        closed = [key for key in exchange_keys if not key.openers & (here.keys() | recoverable)]
        # Whole keys are compared: one with a given fingerprint is easily made.
        trust = KeyTrust(KnownKeys(self._storage, ring))
        keys: list[PublishedKey] = []
        for public_key, fingerprint in zip(public_keys, published, strict=True):
            if ring.own_among([public_key]):
                status: KeyStatus = "on_device"
            elif fingerprint in recoverable:
                status = "recoverable"
            else:
                is_key = await is_public_key(self._crypto, public_key)
                status = "missing" if is_key else "malformed"
            keys.append(_published_key(document, own.id, public_key, status, closed))
        unknown = [
            key.fingerprint
            for key in keys
            if key.status not in ("on_device", "malformed")
            and not await trust.confirmed_before(own.id, key.public_key)
        ]
        correspondents = dict.fromkeys(key.correspondent_id for key in exchange_keys)
        correspondents.pop(own.id, None)
        return KeyReport(
            data_owner_id=own.id,
            data_owner_type=own.kind,
            keys=tuple(keys),
            pending=tuple(sorted(stored.keys() - set(published))),
            correspondents=tuple(map(printable, correspondents)),
            notaries=tuple(map(printable, as_object(document.get(SHARES_MEMBER)))),
            outstanding_notices=tuple(await self._notices.outstanding(own.id)),
            lacks_self_delegation=bool(published)
            and own.kind == _PATIENT
            and self._lacks_delegation(own),
            unreadable=tuple(problems),
            unknown=tuple(unknown),
        )

    async def _on_device(
        self, owner_id: str, published: Sequence[str]
    ) -> tuple[dict[str, KeyPair], Iterable[str]]:
        """Return the key pairs in the storage by fingerprint, and the problems of reading it."""
        found: dict[str, KeyPair] = {}
        # One broken item may be found in both ways.
        problems: dict[str, None] = {}
        try:
            for key_pair in await self._key_storage.list_key_pairs(owner_id):
                found[key_pair.fingerprint] = key_pair
        except StorageError as error:
            problems[str(error)] = None
        for fingerprint in published:
            if fingerprint in found:
                continue
            try:
                listed = await self._key_storage.get_key_pair(owner_id, fingerprint)
            except StorageError as error:
                problems[str(error)] = None
            except ValidationError:
                # A backend may name as a public key a text that no key pair can have.
                pass
            else:
                if listed is not None:
                    found[fingerprint] = listed
        return found, problems

    def _lacks_delegation(self, own: TypedDataOwner) -> bool:
        """Return whether ``init_user_crypto`` would give a patient's record its metadata."""
        if self._is_of_today:
            return is_new_record(own.document)
        return not (has_own_entry(own.document, own.id) or has_secure_delegations(own.document))

    async def _of_today(
        self, own: TypedDataOwner, public_keys: Sequence[str]
    ) -> list[_ExchangeKey]:
        """Return the exchange keys that are in exchange data, from the data owner and to it."""
        if not self._is_of_today and not own.document.get(TODAYS_KEYS):
            return []
        names = {fingerprint_v2(key): fingerprint_of(key) for key in public_keys}
        found: list[_ExchangeKey] = []
        try:
            async for page in self._exchange_data.by_participant(own.id):
                found += [_in_exchange_data(document, own.id, names) for document in page]
        except BackendError as error:
            # That of somebody of 2023.
            if not has_no_such_route(error):
                raise
        return found

    async def _towards(self, own: TypedDataOwner, published: Sequence[str]) -> list[_ExchangeKey]:
        """Return the exchange keys of 2023 that others have towards the data owner."""
        views = [await self._directory.read_view(kind, own.id) for kind in DATA_OWNER_KINDS]
        first = list(map(fingerprint_of, public_keys_of(own.document)[:1]))
        return [
            _exchange_key(delegator_id, wrapped, frozenset(published), first)
            for view in views
            for delegator_id in view
            if delegator_id != own.id
            for wrapped in exchange_keys_in_view(view, delegator_id)
        ]


def _from(document: Mapping[str, Any], published: frozenset[str]) -> Iterator[_ExchangeKey]:
    """Yield the exchange keys that the data owner has, to itself and to others."""
    for delegate_id in delegates_of(document):
        seen: set[str] = set()
        for wrapped in exchange_keys_to(document, delegate_id):
            # The legacy form repeats the ciphertexts of one that is there in the present form.
            if seen.isdisjoint(wrapped.values()):
                yield _exchange_key(delegate_id, wrapped, published, ())
            seen.update(wrapped.values())


def _in_exchange_data(
    document: Mapping[str, Any], own_id: str, names: Mapping[str, str]
) -> _ExchangeKey:
    """Return the exchange key in exchange data; ``names`` are V2 fingerprints of our keys → V1."""
    members = document["delegator"], document["delegate"]
    wrapped = as_object(document["exchangeKey"])
    return _ExchangeKey(
        next((member for member in members if member != own_id), own_id),
        frozenset(names[name] for name in wrapped if name in names),
        is_open_to_other=bool(wrapped.keys() - names.keys()),
    )


def _exchange_key(
    correspondent_id: str,
    wrapped: Mapping[str, str],
    published: frozenset[str],
    legacy: Collection[str],
) -> _ExchangeKey:
    """Return an exchange key and its openers; ``legacy`` are the openers of one without a name."""
    openers = published.intersection(wrapped)
    if LEGACY_KEY in wrapped:
        openers |= published.intersection(legacy)
    named = wrapped.keys() - {LEGACY_KEY}
    return _ExchangeKey(
        correspondent_id,
        openers,
        # In the form without names there is one ciphertext for each side.
        is_open_to_other=bool(named - published) or LEGACY_KEY in wrapped,
    )


def _published_key(
    document: Mapping[str, Any],
    own_id: str,
    public_key: str,
    status: KeyStatus,
    closed: Sequence[_ExchangeKey],
) -> PublishedKey:
    fingerprint = fingerprint_of(public_key)
    opened_by_it = [key for key in closed if fingerprint in key.openers]
    helpers = dict.fromkeys(
        printable(key.correspondent_id)
        for key in opened_by_it
        if key.is_open_to_other and key.correspondent_id != own_id
    )
    return PublishedKey(
        fingerprint=printable(fingerprint),
        status=status,
        led_to_by=tuple(map(printable, _leading_to(document, fingerprint))),
        only_opens=len(opened_by_it),
        helpers=tuple(helpers),
        public_key=public_key,
    )


def _leading_to(document: Mapping[str, Any], fingerprint: str) -> list[str]:
    """Return the fingerprints from which transfer keys lead to one, the nearest first."""
    transfers = list(transfer_keys_of(document))
    found = [fingerprint]
    for target in found:
        found += [
            holder
            for holder in dict.fromkeys(key.holder for key in transfers if key.target == target)
            if holder not in found
        ]
    return found[1:]
