"""Putting a data owner's key pairs to use: finding them on the device, or publishing the first.

A private key is stored before its public half is published, and everything a login has to publish
goes out in one write. Source: cryptography.md §9 and §10.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

import anyio
import attrs

from icure_async.cautions import KeysInMemoryWarning, warn_once
from icure_async.crypto.exchange_keys import public_keys_of, published_keys_of
from icure_async.entities.delegations import has_own_entry
from icure_async.entities.kinds import PATIENT
from icure_async.entities.secure_delegations import has_secure_delegations
from icure_async.entities.sharing import auto_delegates_of
from icure_async.entities.unchanged import require_no_content
from icure_async.errors import CryptoError, KeyPairNotFoundError, ValidationError
from icure_async.keys.access_requests import delegates_of_record
from icure_async.keys.notices import MAX_RECIPIENTS
from icure_async.keys.parents import normalised_key_pair
from icure_async.keys.recovery_keys import recovery_key_of
from icure_async.models.key_pair import fingerprint_of, is_fingerprint
from icure_async.models.missing_key import MISSING_KEY_POLICIES, MissingKey
from icure_async.models.public_key import PublicKey
from icure_async.models.recovery_key import RecoveryKey
from icure_async.rest.data_owners import TypedDataOwner
from icure_async.storage.key_storage import is_in_memory
from icure_async.storage.locks import lock_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from icure_async.entities.legacy_keys import LegacyKeys
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.notices import KeyNotices
    from icure_async.keys.own_document import OwnDocument
    from icure_async.keys.parents import ParentKeys
    from icure_async.keys.recovery_keys import RecoveryKeys
    from icure_async.models.key_change import KeyPairUpdateNotice
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.missing_key import MissingKeyPolicy
    from icure_async.rest.data_owners import DataOwnerKind
    from icure_async.storage.protocols import KeyStorage

__all__ = ["InitialisedKeys", "KeyRegistration", "RegistrationParts", "delegates_of_patients"]

_RECENT_SECONDS: Final = 3600
_SHARED_WITH_NOBODY: Final = (
    "Nobody but this user can read what it creates: no healthcare professional was named, or the "
    "gateway did not link the one that was. Name one with healthcare_professional_id of "
    "start_authentication() when a person registers."
)
_INVITED_SHARES_WITH_NOBODY: Final = (
    "Nobody but this user can read what it creates: an invited patient shares with nobody until it "
    "says so. Call user_api.share_all_future_data_with() with the ids of its professionals."
)


@attrs.frozen
class InitialisedKeys:
    """The outcome of ``init_user_crypto``.

    Attributes:
        key_pairs: the key pairs in use; those that were recovered come last.
        notices: what became of the notifications about a new key pair; empty without one.
        unknown_public_keys: published for the user, and neither on this device nor confirmed.
        warnings: for a person to read, in plain sentences.
    """

    key_pairs: list[KeyPair] = attrs.field(repr=False)
    notices: list[KeyPairUpdateNotice]
    unknown_public_keys: list[PublicKey]
    warnings: list[str]


@attrs.define(eq=False, repr=False)
class _Choice:
    """The caller's wish for the case that the published keys are not on this device."""

    given: KeyPair | None
    missing_key: MissingKeyPolicy
    find_key: Callable[[MissingKey], Awaitable[KeyPair | RecoveryKey | None]] | None
    invited: bool
    recovery_key: RecoveryKey | None


class RegistrationParts(TypedDict):
    """The objects that a registration works with, next to the own document.

    Attributes:
        in_memory_is_meant: whether the application looks after keys that live in memory.
    """

    key_storage: KeyStorage
    current_user: CurrentUser
    metadata: LegacyKeys
    notices: KeyNotices
    parents: ParentKeys
    recovery_keys: RecoveryKeys
    in_memory_is_meant: bool


class KeyRegistration:
    """The work of ``init_user_crypto``. Repeating it after a crash finishes the job."""

    def __init__(self, own_document: OwnDocument, **parts: Unpack[RegistrationParts]) -> None:
        self._own = own_document
        self._key_ring = own_document.key_ring
        self._recovery = own_document.recovery
        self._key_storage = parts["key_storage"]
        self._current_user = parts["current_user"]
        self._metadata = parts["metadata"]
        self._notices = parts["notices"]
        self._parents = parts["parents"]
        self._recovery_keys = parts["recovery_keys"]
        self._in_memory_is_meant = parts["in_memory_is_meant"]
        self._lock = anyio.Lock()

    async def initialise(
        self,
        key_pair: KeyPair | None = None,
        *,
        missing_key: MissingKeyPolicy = "refuse",
        parent_key_pairs: Mapping[str, Sequence[KeyPair]] | None = None,
        find_key: Callable[[MissingKey], Awaitable[KeyPair | RecoveryKey | None]] | None = None,
        recovery_key: RecoveryKey | str | None = None,
        invited: bool = False,
    ) -> InitialisedKeys:
        """Put key pairs to use, publishing a new one where there is none or it may be replaced.

        Those of parents are checked first and stored last.

        Args:
            key_pair: see ``MedTechApi.init_user_crypto``, as for the next four.
            missing_key: see there.
            find_key: see there.
            recovery_key: see there.
            parent_key_pairs: see there.
            invited: whether the user is a patient who is about to ask those for access who read
                its record: exchange keys to them are published with the key pair.

        Raises:
            KeyPairNotFoundError: keys are published, none of them is on this device, and they may
                not be replaced.
            ValidationError: an argument is malformed, or ``key_pair`` is not the one on this
                device.
            ConflictError: the data owner keeps changing under our hands.
        """
        if missing_key not in MISSING_KEY_POLICIES:
            raise ValidationError("missing_key must be 'allow' or 'refuse'.")
        if key_pair is not None:
            key_pair = await normalised_key_pair(self._own.crypto, key_pair)
        way_back = None if recovery_key is None else recovery_key_of(recovery_key)
        given = await self._parents.normalised(parent_key_pairs)
        self._own.trust.refuse_while_asking()
        async with self._lock:
            owner_id = await self._own.own_id()
            # Of all programs on this device: two of them must not make two key pairs.
            async with lock_of(self._key_storage, owner_id) as lock:
                if lock.waited:
                    await self._own.refresh()
                choice = _Choice(key_pair, missing_key, find_key, invited, way_back)
                return await self._initialise(choice, given)

    async def _initialise(
        self, choice: _Choice, given: Mapping[str, Sequence[KeyPair]]
    ) -> InitialisedKeys:
        for parent_id, parents_pairs in given.items():
            await self._parents.check(parent_id, parents_pairs)
        owner = await self._own.own()
        key_pairs: list[KeyPair] = []
        published: Sequence[str] = ()

        async def complete(document: dict[str, Any]) -> dict[str, Any]:
            nonlocal key_pairs, published
            if key_pairs:
                # Somebody else was faster: perhaps the same user on another device.
                self._key_ring.clear()
            published = self.published_keys_of(document)
            if choice.recovery_key is not None:
                await self._recover(owner.id, published, choice.recovery_key)
            others = _left_out(published_keys_of(document), published)
            found = await self._found(owner.id, published, choice, taken=others)
            # All at once: each of them may be the one under which this device remembers keys.
            stored = await self._stored(owner.id, others)
            key_pairs = await self._recovery.use(owner.id, [*found, *stored])
            key_pairs += await self._recovery.recover(document)
            # One of the other flavour would be ambiguous if it was published in this one as well.
            written = [
                pair for pair in key_pairs if pair.fingerprint not in map(fingerprint_of, others)
            ]
            if not written:
                raise _none_confirmed(owner.id)
            return await self._complete(
                TypedDataOwner(owner.kind, document), written[0], invited=choice.invited
            )

        await self._own.change(complete, advice="Call init_user_crypto() again.")
        await self._finish(owner.kind)
        for parent_id, parents_pairs in given.items():
            await self._parents.store(parent_id, parents_pairs)
        await self._parents.use_stored()
        notices = await self._notices.send_outstanding(
            owner.id, [found.public_key for found in key_pairs]
        )
        unknown = [
            PublicKey(owner.id, public_key) for public_key in await self._own.unknown_public_keys()
        ]
        remarks = self._remarks(owner, has_first_key=not published, invited=choice.invited)
        return InitialisedKeys(key_pairs, notices, unknown, remarks)

    async def _recover(
        self, owner_id: str, published: Sequence[str], recovery_key: RecoveryKey
    ) -> None:
        """Store the key pairs that a recovery key leads to, where they are not on this device."""
        for key_pair in await self._recovery_keys.key_pairs(recovery_key, owner_id, published):
            if await self._key_storage.get_key_pair(owner_id, key_pair.fingerprint) is None:
                await self._key_storage.store_key_pair(owner_id, key_pair)

    def published_keys_of(self, document: Mapping[str, Any]) -> list[str]:
        """Return the public keys of a data owner whose private halves are looked for."""
        return public_keys_of(document)

    async def _finish(self, kind: DataOwnerKind) -> None:
        """Finish the start, once a key pair is in use and published."""

    def _remarks(self, owner: TypedDataOwner, *, has_first_key: bool, invited: bool) -> list[str]:
        """Return the warning for a person who registers and has nobody to share with.

        Args:
            owner: as it was before the start.
            has_first_key: whether no key was published then.
            invited: whether a professional invited the person.
        """
        user = self._current_user.known
        if owner.kind != PATIENT.route or user is None or delegates_of_patients(user):
            return []
        # A registration that died after it had published the key is a login when it is repeated.
        created = user.get("created")
        is_recent = type(created) is int and created > (time.time() - _RECENT_SECONDS) * 1000
        if not has_first_key and not is_recent:
            return []
        return [_INVITED_SHARES_WITH_NOBODY if invited else _SHARED_WITH_NOBODY]

    async def _found(
        self, owner_id: str, published: Sequence[str], choice: _Choice, *, taken: Sequence[str]
    ) -> list[KeyPair]:
        """Return the pairs to use, stored on this device; the choice gets the one asked for.

        Args:
            owner_id: id of the current data owner.
            published: its public keys of the flavours that are written.
            choice: the caller's.
            taken: its public keys of the other flavour, which are published as well.
        """
        # Somebody who has keys of the other flavour only has records that they open.
        known = published or taken
        if known:
            stored = await self._on_device(owner_id, known, choice.given)
            if not stored and choice.given is None and choice.find_key is not None:
                question = MissingKey(owner_id, tuple(_well_formed(known)))
                found = await choice.find_key(question)
                if isinstance(found, RecoveryKey):
                    await self._recover(owner_id, known, found)
                    stored = await self._on_device(owner_id, known, None)
                elif found is not None:
                    choice.given = await normalised_key_pair(self._own.crypto, found)
                    stored = await self._on_device(owner_id, known, choice.given)
            if stored and published:
                return stored
            if not stored and choice.missing_key == "refuse":
                raise _not_found(owner_id, known, choice.given)
            if stored:
                # One that is published in both forms would be ambiguous.
                choice.given = None
        return [await self._unpublished(owner_id, [*published, *taken], choice.given)]

    async def _on_device(
        self, owner_id: str, published: Sequence[str], given: KeyPair | None
    ) -> list[KeyPair]:
        """Return the published key pairs on this device, storing the given one if it is such."""
        stored = await self._stored(owner_id, published)
        if stored:
            if given and given.public_key not in {found.public_key for found in stored}:
                raise ValidationError(
                    "The provided key pair is not present on the device and other key pairs are "
                    "already present. Call init_user_crypto() without a key pair to use those on "
                    "the device, or pass another with_key_storage() to use yours."
                )
            return stored
        if given is None or given.fingerprint not in _well_formed(published):
            return []
        await self._key_storage.store_key_pair(owner_id, given)
        return [given]

    async def _stored(self, owner_id: str, published: Sequence[str]) -> list[KeyPair]:
        """Return those published key pairs that are on this device."""
        return [
            found
            for fingerprint in _well_formed(published)
            if (found := await self._key_storage.get_key_pair(owner_id, fingerprint)) is not None
        ]

    async def _unpublished(
        self, owner_id: str, published: Sequence[str], given: KeyPair | None
    ) -> KeyPair:
        """Return the pair to publish: the given one, one left by a crash, or a new one; stored."""
        if given is None:
            fingerprints = {fingerprint_of(public_key) for public_key in published}
            for pending in await self._key_storage.list_key_pairs(owner_id):
                if pending.fingerprint not in fingerprints:
                    return pending
        key_pair = given or await self._own.crypto.generate_key_pair()
        self._warn_of_memory()
        await self._key_storage.store_key_pair(owner_id, key_pair)
        return key_pair

    def _warn_of_memory(self) -> None:
        """Warn, once per process, of keys that are gone with the program."""
        if self._in_memory_is_meant or not is_in_memory(self._key_storage):
            return
        warn_once(
            "A key pair is about to be published that is kept in memory only: when the program "
            "ends, it is lost, and with it every record that is encrypted for it alone. Keep it "
            "with with_storage_directory(), or say with with_in_memory_keys() that the program "
            "looks after AuthenticationResult.key_pairs itself.",
            KeysInMemoryWarning,
        )

    async def _complete(
        self, owner: TypedDataOwner, key_pair: KeyPair, *, invited: bool
    ) -> dict[str, Any]:
        """Return the owner's document with whatever it lacks; the same object for nothing."""
        document = owner.document
        published = public_keys_of(document)
        is_patient = owner.kind == PATIENT.route
        # One of today's has its delegations in another form, which this flavour does not write.
        lacks_delegation = (
            is_patient
            and not has_own_entry(document, owner.id)
            and not has_secure_delegations(document)
        )
        is_new = key_pair.fingerprint not in map(fingerprint_of, published)
        if not is_new and not lacks_delegation:
            return document
        readers = delegates_of_record(document)[:MAX_RECIPIENTS] if invited and is_patient else []
        if not published:
            todays = published_keys_of(document)
            if todays and not any(name in self._key_ring for name in todays):
                await self._notices.remember(owner.id, key_pair.public_key)
            document = dict(document) | {"publicKey": key_pair.public_key}
        elif is_new:
            # Written down first: a program that finds the key published knows which notices to
            # send.
            await self._notices.remember(owner.id, key_pair.public_key)
            document = await self._own.with_new_key_pair(document, key_pair)
            readers += await self._notices.readers()
        if not lacks_delegation:
            return (await self._own.prepare(document, readers))[0]

        async def keys_for(user: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
            return await self._own.prepare(document, [*delegates_of_patients(user), *readers])

        document, exchange_keys = await self._current_user.sharing(keys_for)
        if document.get("delegations") or document.get("encryptionKeys"):
            # Made by a professional, who still has to share it: the patient gets a secret id only.
            return await self._metadata.add_secret_id(document, owner.id, exchange_keys[owner.id])
        require_no_content(document, "patient")
        return await self._metadata.seal_new(
            PATIENT.complete(document), PATIENT.encrypted, exchange_keys
        )


def delegates_of_patients(user: Mapping[str, Any]) -> list[str]:
    """Return the ids of those with whom a user shares every patient at present."""
    return auto_delegates_of(user, PATIENT.shared_on_creation)


def _left_out(public_keys: Iterable[str], some: Sequence[str]) -> list[str]:
    """Return those public keys that are not among some of them."""
    fingerprints = {fingerprint_of(public_key) for public_key in some}
    return [key for key in public_keys if fingerprint_of(key) not in fingerprints]


def _well_formed(public_keys: Iterable[str]) -> list[str]:
    """Return the fingerprints of those public keys that can be one.

    A malformed one, which somebody else has put there, must not lock out anybody.
    """
    return list(filter(is_fingerprint, map(fingerprint_of, public_keys)))


def _not_found(
    owner_id: str, published: Sequence[str], given: KeyPair | None
) -> KeyPairNotFoundError:
    fingerprints = _well_formed(published)
    named = ", ".join(fingerprints) or "they are malformed"
    wrong = "" if given is None else f" The given one, {given.fingerprint}, is none of them."
    return KeyPairNotFoundError(
        f"Data owner {owner_id} has published keys, and none of them is on this device: "
        f"{named}.{wrong} Ways back: pass the key pair with one of these fingerprints, or a "
        "recovery key, to init_user_crypto(), import a backup with import_keys(), or use the key "
        "storage of the device that has it. With missing_key='allow' a new key pair is made; it "
        "opens the records of the old ones once somebody gives access back. Nothing was changed.",
        data_owner_id=owner_id,
        fingerprints=fingerprints,
    )


def _none_confirmed(owner_id: str) -> CryptoError:
    return CryptoError(
        f"The key pairs of data owner {owner_id} on this device came through the backend, and were "
        "not confirmed by the policy given to with_public_key_policy(). They only read, and "
        "nothing was written. Confirm the one that is the user's, or import its backup on another "
        "device."
    )
