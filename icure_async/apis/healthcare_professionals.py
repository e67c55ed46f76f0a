"""Healthcare professionals: persons and organisations that look after patients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.mistakes import explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.entities.plain_records import PlainRecords
    from icure_async.models.healthcare_professional import HealthcareProfessional

__all__ = ["HealthcareProfessionalApi"]


@explained
class HealthcareProfessionalApi:
    """Creates, reads, finds, modifies and deletes healthcare professionals."""

    def __init__(self, professionals: PlainRecords[HealthcareProfessional]) -> None:
        self._professionals = professionals

    async def create_or_modify_healthcare_professional(
        self, healthcare_professional: HealthcareProfessional
    ) -> HealthcareProfessional:
        """Create the professional if it has no ``rev``, else replace the stored one.

        A new one is given its ``id`` before anything is sent, so that the call can be repeated with
        the same object after a failure without creating a second professional.

        The official name in ``names`` follows ``last_name``, ``first_name`` and ``name`` where
        these were changed, and the other way round; the whole ``name`` of a person is made anew.
        The keys of a stored professional stay as they are, whoever adds some at the same time.

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
        """
        return await self._professionals.save(healthcare_professional)

    async def get_healthcare_professional(
        self, healthcare_professional_id: str
    ) -> HealthcareProfessional:
        """Return a healthcare professional.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such professional.
        """
        return await self._professionals.get(healthcare_professional_id)

    async def get_healthcare_professionals(
        self, healthcare_professional_ids: Sequence[str]
    ) -> list[HealthcareProfessional]:
        """Return several healthcare professionals, in the order of the ids.

        A request is made for 50 of them at a time.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist; the message names them.
        """
        return await self._professionals.get_many(healthcare_professional_ids)

    async def delete_healthcare_professional(self, healthcare_professional_id: str) -> str:
        """Mark a healthcare professional as deleted.

        It can still be read by its id, and is listed nowhere. What is encrypted for it stays so.

        Returns:
            The id of the professional.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such professional.
            PermissionDeniedError: the user may not delete it.
        """
        return await self._professionals.delete(healthcare_professional_id)

    async def delete_healthcare_professionals(
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
        """
        return await self._professionals.delete_many(healthcare_professional_ids)
