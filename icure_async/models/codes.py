"""Codes of terminologies, and identifiers given by other systems."""

import attrs

from icure_async.models.base import ValueModel

__all__ = ["CodingReference", "Identifier"]


def _id_of_parts(coding: "CodingReference") -> str | None:
    """Return the id the reference shows, spelling missing parts as the backend does."""
    parts = (coding.type, coding.code, coding.version)
    if not any(parts):
        return None
    return "|".join("null" if part is None else part for part in parts)


@attrs.define(kw_only=True, repr=False)
class CodingReference(ValueModel):
    """A reference to a code of a terminology (data-model.md §2).

    Attributes:
        id: ``type|code|version``. Where the backend sent none it is made of the three parts on
            reading, and still not written back unless it is changed.
        type: terminology, for example ``SNOMED``.
        code: code within the terminology.
        version: version of the terminology.

    Example:
        >>> CodingReference(type="SNOMED", code="73211009", version="2024").code
        '73211009'
    """

    id: str | None = attrs.field(default=None, metadata={"assumed": _id_of_parts})
    type: str | None = None
    code: str | None = None
    version: str | None = None


@attrs.define(kw_only=True, repr=False)
class Identifier(ValueModel):
    """The name of an entity in another system (data-model.md §2).

    Attributes:
        id: id of the identifier itself.
        assigner: who gave the identifier.
        start: since when it holds, as text.
        end: until when it holds, as text.
        system: name space of the value, usually a URI.
        type: kind of identifier.
        use: what it is used for.
        value: the identifier proper.

    Example:
        >>> Identifier(system="clinic", value="4711").system
        'clinic'
    """

    id: str | None = None
    assigner: str | None = None
    start: str | None = None
    end: str | None = None
    system: str | None = None
    type: CodingReference | None = None
    use: str | None = None
    value: str | None = None
