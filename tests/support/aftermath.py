"""The traces of logins in the backend and on devices, and the rules for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from icure_async import KeyPair
from icure_async.models.flavour import Flavour
from icure_async.models.key_pair import fingerprint_of
from icure_async.sandbox import Sandbox
from icure_async.sandbox.auth import users_named
from icure_async.storage import FileStorage, jwk

Json = dict[str, Any]

# The sandbox's own validity of a code as a password, in seconds; tokens live longer.
_CODE_VALIDITY = 600


@attrs.frozen
class State:
    """The backend's knowledge of a user at one moment.

    Attributes:
        owner: the data owner as stored; empty before there is one.
        tokens: how many long-lived ones the user has.
    """

    owner: dict[str, Any]
    tokens: int

    @property
    def published(self) -> set[str]:
        keys = {self.owner.get("publicKey"), *self.owner.get("aesExchangeKeys", {})}
        keys |= {*self.owner.get("publicKeysForOaepWithSha256", [])}
        return {key for key in keys if key}


async def state_of(sandbox: Sandbox, login: str) -> State:
    users = await sandbox._open_store.run(lambda tx: users_named(tx, login))
    if not users:
        return State({}, 0)
    (user,) = users
    tokens = sum(
        token["validity"] > _CODE_VALIDITY
        for token in user.get("authenticationTokens", {}).values()
    )
    return State(await sandbox.stored("patient", user["patientId"]) or {}, tokens)


async def check_asked(sandbox: Sandbox, owner_id: str, *recipients: str) -> None:
    """Check that an invited patient has asked each of these for access, once."""
    export = await sandbox.export()
    asked = Counter(
        frozenset(task["delegations"])
        for task in export["entities"].get("maintenancetask", {}).values()
        if task["responsible"] == owner_id and task["taskType"] == "NEW_USER_OWN_DATA_ACCESS"
    )
    expected = Counter(frozenset({owner_id, recipient}) for recipient in recipients)
    assert asked == expected, f"{asked.total()} requests for access"


async def check_notified(sandbox: Sandbox, owner_id: str, *, key_pairs: int) -> None:
    """Check that everybody concerned got a notification about each of so many new key pairs."""
    export = await sandbox.export()
    told = Counter(
        frozenset(task["delegations"])
        for task in export["entities"].get("maintenancetask", {}).values()
        if task["responsible"] == owner_id
    )
    both = frozenset({owner_id, sandbox.master_hcp.data_owner_id})
    expected = Counter({frozenset({owner_id}): key_pairs, both: key_pairs})
    assert told == expected, f"{told.total()} notifications"


async def check_notified_today(sandbox: Sandbox, owner_id: str, *, key_pairs: int) -> None:
    """Check that everybody concerned was told of each new key pair, in today's flavour."""
    export = await sandbox.export()
    told = Counter(
        delegation["delegate"]
        for task in export["entities"].get("maintenancetask", {}).values()
        for delegation in task["securityMetadata"]["secureDelegations"].values()
        if task["responsible"] == owner_id and delegation.get("delegate")
    )
    assert told == Counter({sandbox.master_hcp.data_owner_id: key_pairs}), f"told: {told}"


async def _key_texts(device: Path, owner_id: str) -> dict[str, str]:
    """Return the items with key pairs of a data owner on a device, by fingerprint."""
    keys = FileStorage(device / "keys")
    prefix = f"{owner_id}."
    return {
        name.removeprefix(prefix): str(await keys.get_item(name))
        for name in await keys.list_items(prefix)
    }


class Inspector:
    """Checks what logins have left.

    Args:
        key_pairs: those that can have been made.
        flavour: of the logins.
    """

    def __init__(self, key_pairs: Iterable[KeyPair], flavour: Flavour = "medtech") -> None:
        self._flavour = flavour
        self._texts: Mapping[str, str] = {
            pair.fingerprint: jwk.validate(pair)[0] for pair in key_pairs
        }

    async def check_keys(self, before: State, now: State, *devices: Path) -> set[str]:
        """Check what must hold at any time, also where a login is not done.

        Args:
            before: what was known before the logins.
            now: what is known now.
            devices: the folders of the devices that log in.

        Returns:
            The fingerprints of the key pairs on the devices.
        """
        found: set[str] = set()
        for device in devices if now.owner else ():
            texts = await _key_texts(device, now.owner["id"])
            assert texts == {name: self._texts[name] for name in texts}, "a key file is not whole"
            assert len(texts) <= 1, f"{len(texts)} key pairs are on one device"
            found |= set(texts)
        new = {fingerprint_of(key) for key in now.published - before.published}
        assert len(new) <= len(devices), f"{len(new)} key pairs were published"
        assert new <= found, "a key pair was published whose private half is not on disk"
        assert before.published <= now.published, "a public key is gone"
        return found

    async def check_whole(
        self,
        before: State,
        now: State,
        *devices: Path,
        delegates: set[str],
        tokens: range,
        reads_itself: bool = True,
    ) -> set[str]:
        """Check what must hold when everything is done.

        Args:
            before: what was known before the logins.
            now: what is known after them.
            devices: the folders of the devices that logged in, each with its own key pair.
            delegates: the ids of those who read the data owner's document, itself not among them.
            tokens: how many long-lived tokens may have been made.
            reads_itself: whether the data owner has the key of its document, which an invited one
                has to ask for.

        Returns:
            The fingerprints of the key pairs on the devices.
        """
        found = await self.check_keys(before, now, *devices)
        assert len(found) == len(devices), "a device has no key pair of its own"
        assert found <= {fingerprint_of(key) for key in now.published}
        if self._flavour == "medtech":
            _check_delegations(now.owner, delegates, reads_itself=reads_itself)
        else:
            _check_secure_delegations(now.owner, delegates)
        made = now.tokens - before.tokens
        assert made in tokens, f"{made} tokens were made"
        for device in devices:
            items = await FileStorage(device / "state").list_items()
            # A device does not forget keys.
            left = [name for name in items if not name.startswith("icure.known_keys.")]
            assert left == [], f"{left} is left behind"
        return found


def _check_delegations(owner: Json, delegates: set[str], *, reads_itself: bool) -> None:
    for member in ("delegations", "encryptionKeys"):
        held_by = {name for name, entries in owner[member].items() if entries}
        own = {owner["id"]} if reads_itself or member == "delegations" else set()
        assert held_by == own | delegates, f"{member} are for {held_by}"


def _check_secure_delegations(owner: Json, delegates: set[str]) -> None:
    """Check that a patient's record is for itself and its delegates, each of them once."""
    delegations = owner["securityMetadata"]["secureDelegations"].values()
    named = Counter(delegation.get("delegate") for delegation in delegations)
    assert named == Counter([None, *delegates]), f"the record is for {named}"
    assert not any(delegation.get("delegator") for delegation in delegations)
    assert not owner.get("delegations")
    assert not owner.get("encryptionKeys")
