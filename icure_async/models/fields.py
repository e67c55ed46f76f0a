"""The fields of models: their names in JSON, and the numbers they may hold."""

from __future__ import annotations

import datetime as dt
import functools
import sys
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.models.dates import DateForm

__all__ = ["Member", "fits_64_bits", "is_finite", "is_fuzzy_date", "members_of", "slot_behind"]


@attrs.frozen(kw_only=True)
class Member:
    """A field as JSON and its rules see it.

    The last seven are what the field says in its ``metadata``, by these names.

    Attributes:
        name: of the attribute.
        kind: type of the value where there is one.
        default: its value where it is missing; an ``attrs.Factory`` for collections.
        key: name in the JSON of the documentation.
        wire: name on the wire.
        flat: whether its own members lie, on the wire, in the document that holds it.
        is_fuzzy_date: whether it must be a date written ``YYYYMMDD``.
        date_form: the form in which it holds a date.
        secret: whether it is a secret of its owner, which no view shows.
        reads: reads it from the wire, instead of the reader for its type.
        assumed: its value where it is missing on the wire, from the model without it.
    """

    name: str
    kind: Any
    default: Any
    key: str
    wire: str
    flat: bool = False
    is_fuzzy_date: bool = False
    date_form: DateForm | None = None
    secret: bool = False
    reads: Callable[[Any], Any] | None = None
    assumed: Callable[[Any], Any] | None = None

    @property
    def slot(self) -> str:
        """The attribute to set where the value needs no conversion (date_slots.py)."""
        return self.name if self.date_form is None else slot_behind(self.name)


def slot_behind(name: str) -> str:
    """Return the name of the slot behind an attribute that converts dates."""
    return f"_stored_{name}"


@functools.cache
def members_of(cls: Any) -> tuple[Member, ...]:
    """Return the members of a model: the fields that take part in comparisons."""
    kinds = get_type_hints(cls)
    return tuple(
        _member(attribute, kinds[attribute.name]) for attribute in attrs.fields(cls) if attribute.eq
    )


def _member(attribute: attrs.Attribute[Any], kind: Any) -> Member:
    alternatives = get_args(kind)
    key = _camel_case(attribute.name)
    marks: dict[str, Any] = {"wire": key, **attribute.metadata}
    return Member(
        name=attribute.name,
        kind=alternatives[0] if type(None) in alternatives else kind,
        default=attribute.default,
        key=key,
        **marks,
    )


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def fits_64_bits(value: int) -> bool:
    """Return whether backends can store an integer."""
    return -(2**63) <= value < 2**63


def is_finite(value: float) -> bool:
    """Return whether backends can store a number."""
    return -sys.float_info.max <= value <= sys.float_info.max


def is_fuzzy_date(value: int) -> bool:
    """Return whether this is a date written ``YYYYMMDD``, with 00 for what is not known."""
    year, month, day = value // 10000, value // 100 % 100, value % 100
    try:
        # Unknown parts count as the first: a day needs a month, and both must exist.
        dt.date(year, month or 1, day or 1)
    except (ValueError, OverflowError):
        return False
    return bool(month or not day)
