"""Exchange data between the current data owner and others: looked up, made, and cached."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.exchange_data import (
    access_header,
    encryption_keys_of,
    fingerprints_of,
    is_contradicted,
    is_verified,
    new_exchange_data,
    open_exchange_data,
    open_wrapped,
)
from icure_async.crypto.exchange_keys import is_public_key
from icure_async.crypto.recent import Recent
from icure_async.crypto.threads import Turns
from icure_async.entities.at_once import each_at_once
from icure_async.entities.exchange_data import UsableExchangeData
from icure_async.errors import (
    BackendError,
    BadRequestError,
    ConflictError,
    CryptoError,
    ICureError,
    NotFoundError,
    PermissionDeniedError,
)
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object
from icure_async.keys.delegate_errors import no_usable_key, unreachable, without_key
from icure_async.keys.exchange_data_cache import ExchangeDataCache
from icure_async.models.key_pair import fingerprint_v2
from icure_async.rest.calls import is_noted_in_call, note_in_call
from icure_async.rest.documents import is_id
from icure_async.rest.responses import has_no_such_route
from icure_async.secret_holders import SecretHolder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from icure_async.crypto.exchange_data import EncryptionKey
    from icure_async.keys.own_document import OwnDocument
    from icure_async.models.flavour import Flavour
    from icure_async.rest.data_owners import DataOwnerKind
    from icure_async.rest.exchange_data import ExchangeDataMapResource, ExchangeDataResource

__all__ = ["ACCESS_HEADER", "ExchangeDataDirectory"]

_log: Final = logging.getLogger(__name__)

ACCESS_HEADER: Final = "Icure-Access-Control-Keys"
"""The header that makes the backend believe an anonymous data owner."""

# As many as today's clients keep (today.md §4.1).
_KEPT: Final = 500
_KINDS_KEPT: Final = 8192
# Filters find nothing that others have shared since.
_FRESH_SECONDS: Final = 30.0
# Errors about one delegate, which keep nobody else from access.
_OF_ONE_DELEGATE: Final = (BadRequestError, CryptoError, NotFoundError, PermissionDeniedError)

Answer = TypeVar("Answer")


class ExchangeDataDirectory(SecretHolder):
    """Exchange data that a key pair of ours opens, with a cache.

    An anonymous data owner knows all of it, since delegations do not name it; others read what
    delegations name, and keep the last few hundred.

    Attributes:
        flavour: in which the current user writes. In the other one this directory only reads.
    """

    def __init__(
        self,
        resource: ExchangeDataResource,
        maps: ExchangeDataMapResource,
        own: OwnDocument,
        *,
        flavour: Flavour,
    ) -> None:
        self.flavour: Final = flavour
        self._resource = resource
        self._maps = maps
        self._own = own
        self._key_ring = own.key_ring
        self._crypto = own.crypto
        self._trust = own.trust
        self._cache = ExchangeDataCache(_KEPT)
        self._to_write: Recent[str, UsableExchangeData] = Recent(_KEPT)
        self._kinds: Recent[str, DataOwnerKind] = Recent(_KINDS_KEPT)
        # Ids of what was sent, and of which no answer has come.
        self._pending: dict[str, str] = {}
        self._making: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._reading = anyio.Lock()
        # Of an anonymous owner: what no key pair has opened so far, by id.
        self._closed: dict[str, Mapping[str, Any]] = {}
        self._listed_with: frozenset[str] | None = None
        self._listed_at = 0.0
        self._headers: dict[str, Mapping[str, str]] = {}
        self._is_unknown_to_backend = False

    @property
    def has_policy(self) -> bool:
        """True where the application decides which keys are written with."""
        return self._own.has_policy

    async def ask(self, ask: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """Return an answer; None where the backend of a user of 2023 has no exchange data."""
        if self._is_unknown_to_backend:
            return None
        try:
            return await ask()
        except BackendError as error:
            if self.flavour != "medtech" or not has_no_such_route(error):
                raise
            self._is_unknown_to_backend = True
            _log.debug("This backend has no exchange data (HTTP %s)", error.status)
            return None

    # --- Who ---

    async def own_names(self) -> Collection[str]:
        """Return the ids of the current data owner and its parents."""
        return (await self._own.hierarchy()).keys()

    async def is_anonymous(self, owner_id: str) -> bool:
        """Return whether delegations must not name a data owner: all but professionals (§5).

        Raises:
            NotFoundError: nobody can tell, since it does not exist, or may not be read.
        """
        kind = self._kinds.get(owner_id)
        if kind is None:
            own = await self._own.own()
            owner = own if owner_id == own.id else await self._own.other(owner_id)
            if owner is None:
                raise unreachable(owner_id)
            kind = owner.kind
            self._kinds.put(owner_id, kind)
        return kind != "hcparty"

    async def access_headers(self, entity_type: str) -> Mapping[str, str]:
        """Return the headers that an anonymous data owner needs for entities of a type (§9).

        There are none for others, in the flavour of 2023, and where there is no exchange data.
        """
        if self.flavour != "cardinal" or not self._key_ring:
            return {}
        if not await self.is_anonymous(await self._own.own_id()):
            return {}
        await self._list()
        headers = self._headers.get(entity_type)
        if headers is None:
            keys = [data.secrets.access_control_key(entity_type) for data in self._cache.values]
            value = access_header(keys)
            headers = {} if value is None else {ACCESS_HEADER: value}
            self._headers[entity_type] = headers
        return headers

    async def newer_access_headers(
        self, entity_type: str, sent: Mapping[str, str]
    ) -> Mapping[str, str] | None:
        """Return the headers as they are now; None where there are no others than were sent.

        The exchange data of an anonymous owner is listed again for that: somebody who gave access
        may have made some since.
        """
        if self._listed_with is None:
            return None
        await self._list(anew=True)
        headers = await self.access_headers(entity_type)
        return None if headers == sent else headers

    async def keep_fresh(self) -> None:
        """List the exchange data of an anonymous owner again if that was not done lately."""
        is_old = time.monotonic() - self._listed_at > _FRESH_SECONDS
        if self.flavour == "cardinal" and self._listed_with is not None and is_old:
            await self._list(anew=True)

    # --- To write with ---

    async def to_write_with(
        self, delegate_ids: Iterable[str]
    ) -> Mapping[str, UsableExchangeData | ICureError]:
        """Return exchange data from the current data owner to each delegate, made where missing.

        An error says why there is none to one of them.

        Args:
            delegate_ids: the delegates; the current data owner may be among them.

        Raises:
            CryptoError: no key pair of ours is in use.
            ConfigurationError: the application is being asked about a key.
        """
        self._trust.refuse_while_asking()
        own_id = await self._own.own_id()
        ids = list(dict.fromkeys(delegate_ids))
        found: dict[str, UsableExchangeData | ICureError] = {}
        for delegate_id in ids:
            known = self._to_write.get(delegate_id)
            if known is not None:
                found[delegate_id] = known
        missing = [delegate_id for delegate_id in ids if delegate_id not in found]
        if missing:
            await self._own_keys(own_id)

        async def find(delegate_id: str) -> None:
            found[delegate_id] = await self._to_one(own_id, delegate_id)

        others: list[ICureError] = []

        def failed(delegate_id: str, error: ICureError) -> None:
            if isinstance(error, _OF_ONE_DELEGATE):
                found[delegate_id] = error
            else:
                others.append(error)

        await each_at_once(missing, find, failed)
        if others:
            raise others[0]
        return {delegate_id: found[delegate_id] for delegate_id in ids}

    async def confined_to(self, own_keys: Sequence[EncryptionKey]) -> UsableExchangeData:
        """Return exchange data to ourselves that nobody opens who is not known to be us.

        Any other may be for public keys that the backend merely lists, or have been made for
        somebody else and renamed, which its signatures do not show (§4.3).

        Args:
            own_keys: of key pairs of this device, to make one for where there is none.

        Raises:
            CryptoError: none of them is in use.
        """
        self._trust.refuse_while_asking()
        own_id = await self._own.own_id()
        async with self._making[own_id]:
            stored = await self._resource.by_delegator_delegate(own_id, own_id)
            for data in await self._open_all(stored):
                if not data.document.get("deletionDate") and (
                    await self._trust.is_confined(own_id, own_id, data.secrets.exchange_key)
                    and await is_verified(self._crypto, self._key_ring, data.document, data.secrets)
                ):
                    return data
            document, secrets = await new_exchange_data(
                self._crypto,
                self._key_ring,
                await new_uuid(self._crypto),
                own_id,
                own_id,
                own_keys,
                own_keys,
            )
            self._trust.note_made(own_id, own_id, secrets.exchange_key, is_confined=True)
            await self._trust.save(own_id)
            made = UsableExchangeData(await self._resource.create(document), secrets)
            self._put(made)
            return made

    async def may_write_with(self, data: UsableExchangeData) -> bool:
        """Return whether keys that came by this exchange data may protect new content.

        That of others, and ours of which the signing key pair is lost, can't be verified: the
        policy is asked about it, and without one the backend is believed.
        """
        if await is_contradicted(self._crypto, self._key_ring, data.document, data.secrets):
            return False
        return await self._own.may_write_with(
            data.delegator, data.delegate, data.secrets.exchange_key
        )

    async def encryption_keys_to(
        self, data: UsableExchangeData, owner_id: str
    ) -> list[EncryptionKey]:
        """Return those keys of a member that exchange data is encrypted for."""
        own = await self._own.own()
        owner = own if owner_id == own.id else await self._own.other(owner_id)
        named = fingerprints_of(data.document)
        keys = await self._encryptable(owner_id, owner.document) if owner else []
        return [key for key in keys if key.fingerprint in named]

    # --- To read with ---

    def known(self, delegation_keys: Iterable[str]) -> Mapping[str, Sequence[UsableExchangeData]]:
        """Return what is known already, by delegation key; nothing is empty."""
        found = {key: self._cache.get_by_key(key) for key in delegation_keys}
        return {key: data for key, data in found.items() if data}

    def known_by_ids(self, ids: Iterable[str]) -> Mapping[str, UsableExchangeData]:
        """Return what is known already, by id."""
        return _present({data_id: self._cache.get(data_id) for data_id in ids})

    async def by_ids(self, ids: Iterable[str]) -> Mapping[str, UsableExchangeData]:
        """Return what can be opened among exchange data with these ids."""
        # Anybody who writes an entity may put anything there.
        wanted = [data_id for data_id in dict.fromkeys(ids) if is_id(data_id)]
        found = dict(self.known_by_ids(wanted))
        if len(found) < len(wanted):
            async with self._reading:
                found |= self.known_by_ids(wanted)
                missing = [data_id for data_id in wanted if data_id not in found]
                for data in await self._open_all(await self._read(missing)):
                    found[data.id] = data
        return found

    async def between(self, delegator_id: str, delegate_id: str) -> list[UsableExchangeData]:
        """Return what can be opened of the exchange data from one data owner to another."""
        stored = await self.ask(
            lambda: self._resource.by_delegator_delegate(delegator_id, delegate_id)
        )
        return await self._open_all(stored or [])

    async def by_maps(self, delegation_keys: Iterable[str]) -> Mapping[str, UsableExchangeData]:
        """Return what maps lead to, by delegation key."""
        keys = [key for key in dict.fromkeys(delegation_keys) if is_id(key)]
        documents = await self._read_maps(keys) if keys else []
        ids: dict[str, str] = {}
        turns = Turns()
        for document in documents:
            await turns.give()
            wrapped = as_object(document.get("encryptedExchangeDataIds"))
            opened = await open_wrapped(self._key_ring, wrapped)
            ids[document["id"]] = "" if opened is None else opened.decode("utf-8", "replace")
        found = await self.by_ids(ids.values())
        return _present({key: found.get(data_id) for key, data_id in ids.items()})

    async def look_again(self, delegation_keys: Iterable[str] = ("",)) -> None:
        """Look for exchange data that was made for an anonymous owner since it was last listed.

        Args:
            delegation_keys: of delegations that nothing known opens. In one call of the
                application, each is looked for once. By default, it is any.
        """
        wanted = [key for key in delegation_keys if not (key and is_noted_in_call((self, key)))]
        if wanted and await self.is_anonymous(await self._own.own_id()):
            await self._list(anew=True)
            for key in wanted:
                note_in_call((self, key))

    async def notice(self, document: Mapping[str, Any]) -> UsableExchangeData | None:
        """Take note of exchange data as the backend just gave it; None where it stays closed."""
        self._to_write.drop(str(document["delegate"]))
        (data,) = await self._open_all([document]) or (None,)
        return data

    # --- Making ---

    async def _to_one(self, own_id: str, delegate_id: str) -> UsableExchangeData:
        async with self._making[delegate_id]:
            known = self._to_write.get(delegate_id)
            if known is None:
                known = await self._look_up(own_id, delegate_id)
            if known is None:
                known = await self._make(own_id, delegate_id)
            self._to_write.put(delegate_id, known)
            self._pending.pop(delegate_id, None)
        return known

    async def _look_up(self, own_id: str, delegate_id: str) -> UsableExchangeData | None:
        """Return stored exchange data that may be written with, if there is any."""
        if self._listed_with is not None:
            listed = [data for data in self._cache.values if data.delegator == own_id]
            known = await self._first_usable(own_id, delegate_id, listed)
            if known is not None:
                return known
        # An anonymous owner, too: another device may have made some since the list was read.
        stored = await self._resource.by_delegator_delegate(own_id, delegate_id)
        return await self._first_usable(own_id, delegate_id, await self._open_all(stored))

    async def _first_usable(
        self, own_id: str, delegate_id: str, candidates: Sequence[UsableExchangeData]
    ) -> UsableExchangeData | None:
        by_key: dict[bytes, UsableExchangeData] = {}
        own_fingerprints = await self._own_fingerprints()
        for data in candidates:
            if (
                data.delegate == delegate_id
                and not data.document.get("deletionDate")
                # Some was made before the delegate had a key (§4.1), who could read nothing.
                and (own_id == delegate_id or fingerprints_of(data.document) - own_fingerprints)
                and await is_verified(self._crypto, self._key_ring, data.document, data.secrets)
            ):
                by_key.setdefault(data.secrets.exchange_key, data)
        usable = await self._trust.first_usable(own_id, own_id, delegate_id, by_key)
        await self._trust.save(own_id)
        return None if usable is None else by_key[usable]

    async def _make(self, own_id: str, delegate_id: str) -> UsableExchangeData:
        own_keys = await self._own_keys(own_id)
        delegate_keys = [] if delegate_id == own_id else await self._delegate_keys(delegate_id)
        data_id = self._pending.setdefault(delegate_id, await new_uuid(self._crypto))
        document, secrets = await new_exchange_data(
            self._crypto, self._key_ring, data_id, own_id, delegate_id, own_keys, delegate_keys
        )
        # Before it goes out: where no answer comes, the next attempt finds it stored, and the
        # policy is not asked about what was made here.
        self._trust.note_made(own_id, delegate_id, secrets.exchange_key)
        await self._trust.save(own_id)
        try:
            stored = await self._resource.create(document)
        except ConflictError:
            return await self._made_before(own_id, delegate_id, data_id)
        except (BadRequestError, PermissionDeniedError):
            self._pending.pop(delegate_id, None)
            raise
        data = UsableExchangeData(stored, secrets)
        self._put(data)
        return data

    async def _made_before(self, own_id: str, delegate_id: str, data_id: str) -> UsableExchangeData:
        """Return exchange data that an attempt without an answer has stored."""
        self._pending.pop(delegate_id, None)
        stored = await self._open_all(await self._resource.get_many([data_id]))
        own = [data for data in stored if data.delegator == own_id]
        known = await self._first_usable(own_id, delegate_id, own)
        if known is None:
            raise ConflictError(
                f"The exchange data to data owner {printable(delegate_id)} can't be stored: its id "
                "is in use for something else. Try again.",
                status=409,
                retryable=True,
            )
        return known

    async def _own_keys(self, own_id: str) -> list[EncryptionKey]:
        """Return our keys to encrypt for.

        Raises:
            CryptoError: none of them is in use.
        """
        document = (await self._own.own()).document
        keys = await self._encryptable(own_id, document)
        if not any(self._key_ring.holds(key.public_key) for key in keys):
            raise CryptoError(
                f"No key pair of data owner {own_id} is in use: call init_user_crypto() first. "
                "Nothing was sent."
            )
        return keys

    async def _delegate_keys(self, delegate_id: str) -> list[EncryptionKey]:
        delegate = await self._own.other(delegate_id)
        if delegate is None or delegate.document.get("deletionDate"):
            self._own.forget(delegate_id)
            raise unreachable(delegate_id)
        if not encryption_keys_of(delegate.document):
            # It may publish one at any moment: it is looked up again next time.
            self._own.forget(delegate_id)
            raise without_key(delegate_id)
        keys = await self._encryptable(delegate_id, delegate.document)
        if not keys:
            raise no_usable_key(delegate_id)
        return keys

    async def _encryptable(self, owner_id: str, document: Mapping[str, Any]) -> list[EncryptionKey]:
        """Return the owner's keys that really are such, and may be encrypted for.

        Those whose private half is in use come first: somebody else can make one with the
        fingerprint of such a key, and only the first of both is encrypted for.
        """
        keys = [
            key
            for key in encryption_keys_of(document)
            if await is_public_key(self._crypto, key.public_key)
        ]
        held = [key for key in keys if self._key_ring.holds(key.public_key)]
        foreign = [key for key in keys if key not in held]
        own_id = await self._own.own_id()
        usable = set(
            await self._trust.encryptable(own_id, owner_id, [key.public_key for key in foreign])
        )
        return [*held, *(key for key in foreign if key.public_key in usable)]

    async def _own_fingerprints(self) -> set[str]:
        document = (await self._own.own()).document
        published = {key.fingerprint for key in encryption_keys_of(document)}
        return published | {fingerprint_v2(pair.public_key) for pair in self._key_ring.own_pairs}

    # --- Reading ---

    async def _read(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return stored exchange data; what we may not read is left out."""
        if not ids:
            return []
        try:
            return await self.ask(lambda: self._resource.get_many(ids)) or []
        except PermissionDeniedError:
            if len(ids) == 1:
                return []
        # Somebody has named another's among ours.
        half = len(ids) // 2
        return [*await self._read(ids[:half]), *await self._read(ids[half:])]

    async def _list(self, *, anew: bool = False) -> None:
        """Read all exchange data of an anonymous owner, unless that has been done."""
        known = self._listed_with
        if known is not None and not anew:
            await self._open_closed()
            return
        async with self._reading:
            # Another task may have done it since.
            if self._listed_with is not known:
                return
            own_id = await self._own.own_id()
            self._listed_at = time.monotonic()
            self._cache.limit = None
            rows = await self.ask(lambda: self._resource.all_of(own_id))
            if rows is None:
                return
            changed = [row for row in rows if not self._has(row)]
            self._closed = {}
            await self._open_all(changed, keep_closed=True)
            self._listed_with = frozenset(self._fingerprints())

    async def _open_closed(self) -> None:
        """Try what is closed again if there are other key pairs by now."""
        fingerprints = frozenset(self._fingerprints())
        if self._closed and fingerprints != self._listed_with:
            self._listed_with = fingerprints
            closed, self._closed = self._closed, {}
            await self._open_all(closed.values(), keep_closed=True)

    def _fingerprints(self) -> Iterable[str]:
        return (pair.fingerprint for pair in self._key_ring.key_pairs)

    def _has(self, document: Mapping[str, Any]) -> bool:
        known = self._cache.get(document["id"])
        return known is not None and known.document == document

    async def _open_all(
        self, documents: Iterable[Mapping[str, Any]], *, keep_closed: bool = False
    ) -> list[UsableExchangeData]:
        """Return those of exchange data that a key pair opens, and keep them."""
        opened: list[UsableExchangeData] = []
        turns = Turns()
        for document in documents:
            await turns.give()
            secrets = await open_exchange_data(self._key_ring, document)
            if secrets is not None:
                data = UsableExchangeData(document, secrets)
                self._put(data)
                opened.append(data)
            elif keep_closed:
                self._closed[document["id"]] = document
        return opened

    def _put(self, data: UsableExchangeData) -> None:
        self._cache.put(data)
        self._closed.pop(data.id, None)
        self._headers.clear()

    async def _read_maps(self, delegation_keys: Sequence[str]) -> list[dict[str, Any]]:
        return await self.ask(lambda: self._maps.get_many(delegation_keys)) or []


Key = TypeVar("Key")
Value = TypeVar("Value")


def _present(found: Mapping[Key, Value | None]) -> dict[Key, Value]:
    return {key: value for key, value in found.items() if value is not None}
