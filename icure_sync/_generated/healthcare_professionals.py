# Written by "python tools/gen_sync.py" from icure_async/apis/healthcare_professionals.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Healthcare professionals: persons and organisations that look after patients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.healthcare_professionals import (
    HealthcareProfessionalApi as AsyncHealthcareProfessionalApi,
)
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.models.filters import Filter, HealthcareProfessionalFilter
    from icure_async.models.healthcare_professional import HealthcareProfessional
    from icure_sync._iterators import ClosableIterator

__all__ = ["HealthcareProfessionalApi"]


class HealthcareProfessionalApi(Twin[AsyncHealthcareProfessionalApi]):
    """Creates, reads, finds, modifies and deletes healthcare professionals.

    Example:
        >>> found = api.healthcare_professional_api.filter_healthcare_professional_by(
        ...     HealthcareProfessionalFilter().by_matches("luwin")
        ... )
        >>> professional.id in [each.id for each in found]
        True
    """

    def create_or_modify_healthcare_professional(
        self, healthcare_professional: HealthcareProfessional
    ) -> HealthcareProfessional:
        """Create the professional if it has no ``rev``, else replace the stored one.

        A new one is given its ``id`` before anything is sent, so that the call can be repeated with
        the same object after a failure without creating a second professional.

        The official name in ``names`` follows ``last_name``, ``first_name`` and ``name`` where
        these were changed, and the other way round; the whole ``name`` of a person is made anew.
        The keys of a stored professional stay as they are, even where others add some at the time.

        Args:
            healthcare_professional: to create, or as it was read, with changes.

        Returns:
            The professional as stored.

        Raises:
            ValidationError: a member is malformed, a professional has no name, was given other
                keys, or would be among its own parents. Nothing was changed.
            NotFoundError: there is no such professional to modify.
            PermissionDeniedError: the user may not create or modify it.
            ConflictError: somebody else changed the professional.

        Example:
            >>> professional = HealthcareProfessional(first_name="Luwin", last_name="Cressen")
            >>> professionals = api.healthcare_professional_api
            >>> professional = professionals.create_or_modify_healthcare_professional(
            ...     professional
            ... )
            >>> professional.speciality = "Family medicine"
            >>> professional = professionals.create_or_modify_healthcare_professional(
            ...     professional
            ... )
            >>> professional.speciality
            'Family medicine'
        """
        return self._run(
            self._inner.create_or_modify_healthcare_professional, healthcare_professional
        )

    def get_healthcare_professional(
        self, healthcare_professional_id: str
    ) -> HealthcareProfessional:
        """Return a healthcare professional.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such professional.

        Example:
            >>> found = api.healthcare_professional_api.get_healthcare_professional(
            ...     professional.id
            ... )
            >>> found.last_name
            'Luwin'
        """
        return self._run(self._inner.get_healthcare_professional, healthcare_professional_id)

    def get_healthcare_professionals(
        self, healthcare_professional_ids: Sequence[str]
    ) -> list[HealthcareProfessional]:
        """Return several healthcare professionals, in the order of the ids.

        A request is made for 50 of them at a time.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist; the message names them.

        Example:
            >>> ids = [professional.id]
            >>> found = api.healthcare_professional_api.get_healthcare_professionals(ids)
            >>> [each.last_name for each in found]
            ['Luwin']
        """
        return self._run(self._inner.get_healthcare_professionals, healthcare_professional_ids)

    def filter_healthcare_professional_by(
        self,
        healthcare_professional_filter: HealthcareProfessionalFilter | Filter | None = None,
        *,
        page_size: int = 1000,
    ) -> ClosableIterator[HealthcareProfessional]:
        """Iterate over the healthcare professionals that a filter finds.

        While a page is given out, the next one is read. Each professional comes once, even where
        others come and go.

        Args:
            healthcare_professional_filter: a :class:`HealthcareProfessionalFilter`, or a filter
                made of such; by default, all professionals.
            page_size: how many to ask the backend for at a time.

        Raises:
            ValidationError: an argument is malformed.

        Example:
            >>> named = HealthcareProfessionalFilter().by_matches("luwin")
            >>> found = api.healthcare_professional_api.filter_healthcare_professional_by(named)
            >>> professional.id in [each.id for each in found]
            True
        """
        return self._iterate(
            self._inner.filter_healthcare_professional_by,
            healthcare_professional_filter,
            page_size=page_size,
        )

    def match_healthcare_professional_by(
        self, healthcare_professional_filter: HealthcareProfessionalFilter | Filter | None = None
    ) -> list[str]:
        """Return the ids of the healthcare professionals that a filter finds, with one request.

        Args:
            healthcare_professional_filter: as for :meth:`filter_healthcare_professional_by`.

        Raises:
            ValidationError: the argument is malformed.

        Example:
            >>> named = HealthcareProfessionalFilter().by_matches("luwin")
            >>> ids = api.healthcare_professional_api.match_healthcare_professional_by(named)
            >>> professional.id in ids
            True
        """
        return self._run(
            self._inner.match_healthcare_professional_by, healthcare_professional_filter
        )

    def delete_healthcare_professional(self, healthcare_professional_id: str) -> str:
        """Mark a healthcare professional as deleted.

        It can still be read by its id, and is listed nowhere. Records stay shared with it.

        Returns:
            The id of the professional.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such professional.
            PermissionDeniedError: the user may not delete it.

        Example:
            >>> professionals = api.healthcare_professional_api
            >>> professionals.delete_healthcare_professional(
            ...     professional.id
            ... ) == professional.id
            True
        """
        return self._run(self._inner.delete_healthcare_professional, healthcare_professional_id)

    def delete_healthcare_professionals(
        self, healthcare_professional_ids: Sequence[str]
    ) -> list[str]:
        """Mark several healthcare professionals as deleted.

        A request is made for 50 of them at a time.

        Returns:
            Their ids, each once.

        Raises:
            ValidationError: an id is malformed. Nothing was sent.
            NotFoundError: some do not exist; the message names them. The others were deleted.
            PermissionDeniedError: the user may not delete one of those in a request.

        Example:
            >>> professionals = api.healthcare_professional_api
            >>> professionals.delete_healthcare_professionals([professional.id]) == [
            ...     professional.id
            ... ]
            True
        """
        return self._run(self._inner.delete_healthcare_professionals, healthcare_professional_ids)
