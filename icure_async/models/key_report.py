"""A report on key pairs: where they are, what leads to them, and what is half-done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from icure_async.models.key_question import digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KeyReport", "KeyStatus", "PublishedKey"]

KeyStatus = Literal["on_device", "recoverable", "missing", "malformed"]
"""The place of a published key's private half, seen from this device.

* ``"on_device"``: in the key storage.
* ``"recoverable"``: not yet, but a key pair that is there leads to it.
* ``"missing"``: neither.
* ``"malformed"``: what is published is no public key, so there is no private half to it.
"""


@attrs.frozen(kw_only=True)
class PublishedKey:
    """One of the public keys of a data owner.

    Attributes:
        fingerprint: of the key pair (32 hex characters).
        public_key: hex of the DER SubjectPublicKeyInfo, as it is published.
        status: where its private half is.
        led_to_by: fingerprints of the data owner's other key pairs that lead to it, directly or
            through others, by transfer keys: a device that holds one of them recovers it.
        only_opens: how many exchange keys it opens which no key pair that is on this device, or
            recoverable here, opens. Records encrypted with these cannot be read here.
        helpers: ids of the data owners who can open some of these, and so can give access back.
    """

    fingerprint: str
    status: KeyStatus
    led_to_by: tuple[str, ...] = ()
    only_opens: int = 0
    helpers: tuple[str, ...] = ()
    public_key: str = attrs.field(default="", eq=False, repr=False)

    @property
    def digest(self) -> str | None:
        """SHA-256 of the whole public key, in hex; None for one that is malformed."""
        try:
            return digest_of(bytes.fromhex(self.public_key)) if self.public_key else None
        except ValueError:
            return None


@attrs.frozen(kw_only=True)
class KeyReport:
    """The key pairs of the current data owner, seen from this device.

    Attributes:
        data_owner_id: whose key pairs they are.
        data_owner_type: ``"hcparty"``, ``"patient"`` or ``"device"``.
        keys: what is published, the first key pair the data owner ever had first.
        pending: fingerprints of key pairs that are on this device and not published.
        correspondents: ids of all who have exchange keys from or to the data owner.
        notaries: ids of those who hold a share of one of its private keys.
        outstanding_notices: fingerprints of new key pairs of which not everybody has been told.
        lacks_self_delegation: whether this is a patient whose own record is not shared with itself.
        unreadable: what is wrong with key pairs on this device that cannot be read.
        unknown: fingerprints of published keys that are neither on this device nor confirmed by
            the policy: those of other devices, of lost ones, or of an attacker.

    Example:
        >>> report = await api.data_owner_api.examine_keys()
        >>> [key.status for key in report.keys]
        ['on_device']
    """

    data_owner_id: str
    data_owner_type: str
    keys: tuple[PublishedKey, ...] = ()
    pending: tuple[str, ...] = ()
    correspondents: tuple[str, ...] = ()
    notaries: tuple[str, ...] = ()
    outstanding_notices: tuple[str, ...] = ()
    lacks_self_delegation: bool = False
    unreadable: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """All that is wrong or half-done, each with what to do; empty where all is well.

        A missing key pair is no problem where the others open all that it opens: somebody who lost
        a key pair and got all access back need not be reminded for ever.
        """
        found = list(self.unreadable)
        usable = [
            key.fingerprint for key in self.keys if key.status in {"on_device", "recoverable"}
        ]
        for key in self.keys:
            if key.status == "malformed":
                found.append(
                    f"The published key {key.fingerprint} is no RSA public key: nobody can encrypt "
                    "for it. Have it removed by an administrator of the backend."
                )
            elif key.status == "missing" and (key.only_opens or not usable):
                found.append(self._about_missing(key, usable))
        found += [
            f"The key pair {fingerprint} is on this device and not published: "
            + (
                "it was replaced by another one before, or is somebody else's. Keep it until all "
                "records are readable."
                if self.keys
                else "call init_user_crypto(), which publishes it."
            )
            for fingerprint in self.pending
        ]
        if self.lacks_self_delegation:
            found.append(
                f"Patient {self.data_owner_id} has a key and no delegation to itself: the first "
                "login broke off. Call init_user_crypto() on a device that has the key pair."
            )
        found += [
            f"Not everybody has been told about the key pair {fingerprint}: call "
            "init_user_crypto(), or data_owner_api.notify_key_pair_update()."
            for fingerprint in self.outstanding_notices
        ]
        return found

    def _about_missing(self, key: PublishedKey, usable: Sequence[str]) -> str:
        ways = ["import a backup with import_keys()"]
        if key.led_to_by:
            ways.append(
                f"use a device that holds it or {' or '.join(key.led_to_by)}, and export_keys()"
            )
        else:
            ways.append("use a device that holds it, and export_keys()")
        if self.notaries:
            ways.append(f"ask the notaries ({', '.join(self.notaries)}) for their shares")
        if key.helpers:
            helpers = ", ".join(key.helpers)
            ways.append(
                f"have access given back to the key pair {usable[0]} by {helpers}"
                if usable
                else f"log in with a new key pair and have access given back by {helpers}"
            )
        return (
            f"The private half of the published key {key.fingerprint} is not on this device: "
            f"{key.only_opens} exchange key{'' if key.only_opens == 1 else 's'} cannot be opened "
            f"here. Ways back: {'; '.join(ways)}."
        )
