"""Codings: codes of terminologies, with descriptions and terms to search for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.mistakes import OneByOne, explained
from icure_async.models.filters import CodingFilter, filter_for
from icure_async.models.validation import validate_page_size

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence

    from icure_async.entities.batches import Batches
    from icure_async.entities.plain_records import PlainRecords
    from icure_async.models.batch import BatchProgress, BatchResult
    from icure_async.models.coding import Coding
    from icure_async.models.filters import Filter

__all__ = ["CodingApi"]


@explained
class CodingApi:
    """Creates, reads, finds and modifies codings. They are not encrypted, and everybody reads them.

    The id of a coding is made of its three parts: ``type|code|version``.

    Example:
        >>> (await api.coding_api.get_coding(coding.id)).description["en"]
        'Fever'
    """

    def __init__(self, codings: PlainRecords[Coding], batches: Batches[Coding]) -> None:
        self._codings = codings
        self._batches = batches

    async def create_or_modify_coding(self, coding: Coding) -> Coding:
        """Create the coding if it has no ``rev``, else replace the stored one.

        A new one is given its ``id``, which its type, code and version make: these three can't be
        changed later. A repeated call with the same object finishes the job after a failure.

        Args:
            coding: to create, or as it was read, with changes.

        Returns:
            The coding as stored.

        Raises:
            ValidationError: type, code or version is missing, or holds a bar; or another member is
                malformed. Nothing was sent.
            NotFoundError: there is no such coding to modify.
            PermissionDeniedError: the user may not create or modify it.
            ConflictError: somebody else changed the coding, or has created another one with these
                three parts.

        Example:
            >>> coding = Coding(type="LOINC", code="8310-5", version="2.77", regions=["be"])
            >>> coding.description = {"en": "Body temperature", "fr": "Température corporelle"}
            >>> coding.search_terms = {"en": ["fever", "heat"]}
            >>> (await api.coding_api.create_or_modify_coding(coding)).id
            'LOINC|8310-5|2.77'
        """
        return await self._codings.save(coding)

    async def create_or_modify_codings(
        self,
        codings: Iterable[Coding],
        *,
        progress: Callable[[BatchProgress], Awaitable[None]] | None = None,
    ) -> BatchResult[Coding]:
        """Save several codings, with few requests, and return what became of each.

        Each is saved like :meth:`create_or_modify_coding` does, 250 at a time. Repeating the call
        with the same objects finishes the job, whatever has become of the first one.

        Args:
            codings: to create, or as they were read, with changes.
            progress: called after each request with the number of codings that have an outcome; the
                error that it raises ends the call.

        Returns:
            One item for each coding, in their order, with the coding as stored, or the reason why
            it was not saved.

        Raises:
            ValidationError: ``codings`` is not a list of codings. Nothing was sent.
            ConfigurationError: ``progress`` can't be called.

        Example:
            >>> kinds = [Coding(type="CLINIC", code=code, version="1") for code in ("A", "B")]
            >>> result = await api.coding_api.create_or_modify_codings(kinds)
            >>> [each.id for each in result.saved]
            ['CLINIC|A|1', 'CLINIC|B|1']
        """
        return await self._batches.save(codings, progress)

    async def get_coding(self, coding_id: str) -> Coding:
        """Return a coding.

        Args:
            coding_id: ``type|code|version``.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such coding.

        Example:
            >>> (await api.coding_api.get_coding(coding.id)).code
            '386661006'
        """
        return await self._codings.get(coding_id)

    async def get_codings(self, coding_ids: Sequence[str]) -> list[Coding]:
        """Return several codings, in the order of the ids.

        A request is made for 1,000 of them at a time.

        Raises:
            ValidationError: an id is malformed. Nothing was sent.
            NotFoundError: some do not exist; the message names them.

        Example:
            >>> [each.code for each in await api.coding_api.get_codings([coding.id])]
            ['386661006']
        """
        return await self._codings.get_many(coding_ids)

    def filter_coding(
        self, coding_filter: CodingFilter | Filter | None = None, *, page_size: int = 1000
    ) -> AsyncGenerator[Coding, None]:
        """Iterate over the codings that a filter finds.

        While a page is given out, the next one is read. Each coding comes once, even where others
        come and go.

        Args:
            coding_filter: a :class:`CodingFilter`, or a filter made of such; by default, all
                codings.
            page_size: how many to ask the backend for at a time.

        Raises:
            ValidationError: an argument is malformed.

        Example:
            >>> wanted = CodingFilter().by_region_language_type_label(
            ...     "be", language="en", type=coding.type, label="fev"
            ... )
            >>> [each.id async for each in api.coding_api.filter_coding(wanted)]
            ['SNOMED|386661006|2024']
        """
        wanted = _checked(coding_filter)
        found = self._codings.find(wanted, validate_page_size(page_size))
        return OneByOne(found, "coding_api.filter_coding()")

    async def match_coding(self, coding_filter: CodingFilter | Filter | None = None) -> list[str]:
        """Return the ids of the codings that a filter finds, with one request.

        Args:
            coding_filter: as for :meth:`filter_coding`.

        Raises:
            ValidationError: the argument is malformed.

        Example:
            >>> coding.id in await api.coding_api.match_coding()
            True
        """
        return await self._codings.match(_checked(coding_filter))


def _checked(wanted: CodingFilter | Filter | None) -> Filter:
    return filter_for("coding", CodingFilter() if wanted is None else wanted)
