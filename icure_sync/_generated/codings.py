# Written by "python tools/gen_sync.py" from icure_async/apis/codings.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Codings: codes of terminologies, with descriptions and terms to search for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.codings import CodingApi as AsyncCodingApi
from icure_sync._plain import callback
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from icure_async.models.batch import BatchProgress, BatchResult
    from icure_async.models.coding import Coding
    from icure_async.models.filters import CodingFilter, Filter
    from icure_sync._iterators import ClosableIterator

__all__ = ["CodingApi"]


class CodingApi(Twin[AsyncCodingApi]):
    """Creates, reads, finds and modifies codings. They are not encrypted, and everybody reads them.

    The id of a coding is made of its three parts: ``type|code|version``.

    Example:
        >>> api.coding_api.get_coding(coding.id).description["en"]
        'Fever'
    """

    def create_or_modify_coding(self, coding: Coding) -> Coding:
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
            >>> api.coding_api.create_or_modify_coding(coding).id
            'LOINC|8310-5|2.77'
        """
        return self._run(self._inner.create_or_modify_coding, coding)

    def create_or_modify_codings(
        self, codings: Iterable[Coding], *, progress: Callable[[BatchProgress], None] | None = None
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
            >>> result = api.coding_api.create_or_modify_codings(kinds)
            >>> [each.id for each in result.saved]
            ['CLINIC|A|1', 'CLINIC|B|1']
        """
        return self._run(
            self._inner.create_or_modify_codings,
            codings,
            progress=None if progress is None else callback(progress),
        )

    def get_coding(self, coding_id: str) -> Coding:
        """Return a coding.

        Args:
            coding_id: ``type|code|version``.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such coding.

        Example:
            >>> api.coding_api.get_coding(coding.id).code
            '386661006'
        """
        return self._run(self._inner.get_coding, coding_id)

    def get_codings(self, coding_ids: Sequence[str]) -> list[Coding]:
        """Return several codings, in the order of the ids.

        A request is made for 1,000 of them at a time.

        Raises:
            ValidationError: an id is malformed. Nothing was sent.
            NotFoundError: some do not exist; the message names them.

        Example:
            >>> [each.code for each in api.coding_api.get_codings([coding.id])]
            ['386661006']
        """
        return self._run(self._inner.get_codings, coding_ids)

    def filter_coding(
        self, coding_filter: CodingFilter | Filter | None = None, *, page_size: int = 1000
    ) -> ClosableIterator[Coding]:
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
            >>> [each.id for each in api.coding_api.filter_coding(wanted)]
            ['SNOMED|386661006|2024']
        """
        return self._iterate(self._inner.filter_coding, coding_filter, page_size=page_size)

    def match_coding(self, coding_filter: CodingFilter | Filter | None = None) -> list[str]:
        """Return the ids of the codings that a filter finds, with one request.

        Args:
            coding_filter: as for :meth:`filter_coding`.

        Raises:
            ValidationError: the argument is malformed.

        Example:
            >>> coding.id in api.coding_api.match_coding()
            True
        """
        return self._run(self._inner.match_coding, coding_filter)
