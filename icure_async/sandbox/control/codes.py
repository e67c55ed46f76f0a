"""Fixed codes: chosen contacts are always sent the same code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox.contacts import contact_key, is_email, is_phone
from icure_async.sandbox.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FixedCodes"]

_CODE: Final = re.compile(r"[0-9]{4,12}")
_MOST: Final = 10_000


class FixedCodes:
    """The codes of the contacts that have a fixed one.

    They are read in the store's thread, and replaced in any.

    Args:
        codes: contact, in any spelling → code.

    Raises:
        TypeError: if they are no mapping of texts.
        ValueError: if a contact or a code makes no sense, or two codes are for one contact.
    """

    def __init__(self, codes: Mapping[str, str]) -> None:
        self._at_start = dict(codes)
        self._by_contact: dict[str, str] = {}
        self._by_key: dict[str, str] = {}
        self.replace(self._at_start)

    def __repr__(self) -> str:
        return f"<FixedCodes for {len(self._by_contact)} contacts>"

    @property
    def by_contact(self) -> dict[str, str]:
        """The codes by contact, as the contacts were spelled."""
        return dict(self._by_contact)

    def replace(self, codes: Mapping[str, str]) -> None:
        """Fix these codes and no others.

        Raises:
            TypeError: if they are no mapping of texts.
            ValueError: if a contact or a code makes no sense, or two codes are for one contact.
        """
        by_contact = dict(codes)
        self._by_key = _checked(by_contact)
        self._by_contact = by_contact

    def reset(self) -> None:
        """Fix the codes of the start."""
        self.replace(self._at_start)

    def code_for(self, contact: str) -> str | None:
        """Return the fixed code of a contact, if it has one."""
        return self._by_key.get(contact_key(contact)) if self._by_key else None


def _checked(codes: dict[Any, Any]) -> dict[str, str]:
    """Return codes by the one form of their contacts. Errors name contacts, and no code."""
    if not is_object(codes) or len(codes) > _MOST:
        raise TypeError(f"codes must be at most {_MOST} contacts with their codes")
    by_key: dict[str, str] = {}
    for contact, code in codes.items():
        if not isinstance(contact, str) or not (is_email(contact) or is_phone(contact)):
            raise ValueError(f"codes: {contact!r} is neither a phone number nor an email address")
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise ValueError(f"codes: the code of {contact} must be a text of 4 to 12 digits")
        if by_key.setdefault(contact_key(contact), code) != code:
            raise ValueError(f"codes: {contact} is given twice, with two codes")
    return by_key
