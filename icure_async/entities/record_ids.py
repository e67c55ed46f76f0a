"""Ids of records as callers pass them, and documents in the order of their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from icure_async.errors import NotFoundError, ValidationError
from icure_async.models.validation import validate_id

__all__ = ["IDS_PER_REQUEST", "generation_of", "id_list", "in_order", "one_id", "valid_id"]

IDS_PER_REQUEST: Final = 1000


def id_list(record_ids: Iterable[str], noun: str) -> Iterable[str]:
    """Return ids of records of a kind, or raise.

    Raises:
        ValidationError: they are no list.
    """
    if isinstance(record_ids, str) or not isinstance(record_ids, Iterable):
        raise ValidationError(f"{noun.replace(' ', '_')}_ids must be a list of ids.")
    return record_ids


def valid_id(record_id: object, noun: str) -> str:
    """Return the id of a record of a kind, or raise.

    Raises:
        ValidationError: it is malformed.
    """
    return validate_id(record_id, f"{noun} id")


def one_id(record_id: object, noun: str) -> str:
    """Return an id for a path in which backends take a comma for the end of an id.

    Raises:
        ValidationError: it is malformed, or would name several records.
    """
    if "," in valid_id(record_id, noun):
        raise ValidationError(f"The {noun} id must be one id, without a comma.")
    return str(record_id)


def generation_of(rev: str) -> int:
    """Return how often a document was written, as its revision says; 0 where that says nothing."""
    number = rev.partition("-")[0]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else 0


def in_order(
    documents: Sequence[dict[str, Any]], record_ids: Sequence[str], noun: str
) -> list[dict[str, Any]]:
    """Return documents in the order of their ids.

    Raises:
        NotFoundError: some are missing; the message names them.
    """
    by_id: Mapping[str, dict[str, Any]] = {document["id"]: document for document in documents}
    missing = [record_id for record_id in record_ids if record_id not in by_id]
    if missing:
        raise NotFoundError(
            f"Could not read {noun}s {', '.join(missing)}: they do not exist, or this user has no "
            "access to them. Check the ids."
        )
    return [by_id[record_id] for record_id in record_ids]
