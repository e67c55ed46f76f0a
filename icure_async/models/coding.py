"""Codings: the codes of terminologies, with their names in several languages."""

from typing import Any

import attrs

from icure_async.models.base import EntityModel
from icure_async.models.json_values import Kept, read_map, read_texts

__all__ = ["Coding"]


def _search_terms(value: object, _: object = None) -> dict[str, list[str]]:
    """Read search terms, in whose place the 2023 reference sends empty objects."""
    by_language: dict[str, Any] = read_map(value)
    lists = {
        language: read_texts(terms)
        for language, terms in by_language.items()
        if terms not in ({}, None)
    }
    if len(lists) < len(by_language):
        raise Kept(lists)
    return lists


@attrs.define(kw_only=True, repr=False)
class Coding(EntityModel):
    """A code of a terminology (data-model.md §7). Everybody who has a login can read it.

    Attributes:
        id: ``type|code|version``; made by the SDK when it is created without one.
        rev: revision; a coding without one is created when it is saved, one with it modified.
        qualified_links: ids of other codings, by kind of the link, for example ``narrower``.
        search_terms: words to find it by, by language.
        type: terminology, for example ``SNOMED``.
        code: code within the terminology.
        version: version of the terminology.
        regions: codes of the countries where it is used, for example ``be``.
        description: its name, by language (``label`` on the wire).
        unknown_fields: members that this SDK does not know, written back as they are; None if the
            coding was not read from a backend.

    Example:
        >>> Coding(type="SNOMED", code="386661006", version="2024", description={"en": "Fever"})
        Coding(id=None, rev=None)
    """

    qualified_links: dict[str, list[str]] = attrs.field(factory=dict[str, list[str]])
    search_terms: dict[str, list[str]] = attrs.field(
        factory=dict[str, list[str]], metadata={"reads": _search_terms}
    )
    type: str | None = None
    code: str | None = None
    version: str | None = None
    regions: list[str] = attrs.field(factory=list[str])
    description: dict[str, str] = attrs.field(factory=dict[str, str], metadata={"wire": "label"})
