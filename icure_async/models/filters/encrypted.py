"""The refusal of filters that the backend can't apply, since it sees ciphertext only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Collection

    from icure_async.models.filters.algebra import Filter

__all__ = ["refuse_encrypted"]


def refuse_encrypted(wanted: Filter, encrypted_members: Collection[str]) -> None:
    """Raise if a filter searches members that are encrypted: it would find nothing.

    Args:
        wanted: the filter.
        encrypted_members: names of encrypted members of the records in question, on the wire or in
            their model.

    Raises:
        ValidationError: it does.
    """
    sealed = sorted(
        name
        for wire, name in wanted.searched_members().items()
        if wire in encrypted_members or name in encrypted_members
    )
    if sealed:
        raise ValidationError(
            f"The filter searches {', '.join(sealed)}, which this SDK encrypts, so that the "
            "backend can't compare it. Search by other members, and compare that one in the "
            "records that are found; or leave it out of with_encrypted_fields()."
        )
