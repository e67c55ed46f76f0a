"""The contact of a person among those of its addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from icure_async.models.addresses import Address

__all__ = ["Channel", "contacts_of", "preferred_contacts"]

Channel: TypeAlias = Literal["email", "sms"]
"""The way a message goes."""

_TELECOM_TYPES: Final[dict[Channel, str]] = {"email": "email", "sms": "mobile"}
_ADDRESS_TYPES: Final = ("home", "work", None)


def contacts_of(
    addresses: Sequence[Address], channel: Channel, address_type: str | None = None
) -> Iterator[str]:
    """Yield the contacts of one kind, one for each address: the last that it names.

    Args:
        addresses: of the person.
        channel: the kind of contacts.
        address_type: of the addresses to look at; None for all.
    """
    for address in addresses:
        if address_type is not None and address.address_type != address_type:
            continue
        numbers = [
            telecom.telecom_number
            for telecom in address.telecoms
            if telecom.telecom_type == _TELECOM_TYPES[channel] and telecom.telecom_number
        ]
        yield from numbers[-1:]


def preferred_contacts(
    addresses: Sequence[Address], channels: Sequence[Channel] = ("email", "sms")
) -> Iterator[tuple[Channel, str]]:
    """Yield the contacts of a person, the preferred ones first (wire-protocol.md §6.12).

    Those at home come before those at work, and before all others; at each of these, emails first.
    """
    for address_type in _ADDRESS_TYPES:
        for channel in channels:
            for contact in contacts_of(addresses, channel, address_type):
                yield channel, contact
