"""Healthcare elements: conditions of patients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.events import subscribed
from icure_async.errors import DecryptionError
from icure_async.mistakes import OneByOne, explained
from icure_async.models.filters import HealthcareElementFilter, filter_for
from icure_async.models.healthcare_element import EncryptedHealthcareElement, HealthcareElement
from icure_async.models.validation import validate_page_size

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence

    from icure_async.apis.events import Subscription
    from icure_async.entities.child_records import ChildRecords
    from icure_async.entities.event_source import EventSource
    from icure_async.entities.repository import Repository
    from icure_async.models.batch import BatchProgress, BatchResult
    from icure_async.models.events import EventType, Reconnection
    from icure_async.models.filters import Filter
    from icure_async.models.healthcare_element import PotentiallyEncryptedHealthcareElement
    from icure_async.models.patient import PotentiallyEncryptedPatient

__all__ = ["HealthcareElementApi"]

_NOUN = "healthcare element"


@explained
class HealthcareElementApi:
    """Creates, reads, modifies, shares and deletes healthcare elements.

    Each belongs to one patient, whom only those with access to it know: the backend does not.

    Example:
        >>> elements = api.healthcare_element_api
        >>> found = await elements.get_healthcare_elements_for_patient(patient)
        >>> [each.description for each in found if isinstance(each, HealthcareElement)]
        []
    """

    def __init__(
        self,
        healthcare_elements: Repository[HealthcareElement, EncryptedHealthcareElement],
        of_patients: ChildRecords[HealthcareElement, EncryptedHealthcareElement],
        *,
        events: EventSource[PotentiallyEncryptedHealthcareElement],
    ) -> None:
        self._elements = healthcare_elements
        self._of_patients = of_patients
        self._events = events

    async def create_or_modify_healthcare_element(
        self, healthcare_element: HealthcareElement, patient_id: str | None = None
    ) -> HealthcareElement:
        """Create the healthcare element if it has no ``rev``, else replace the stored one.

        A new one is encrypted for the current data owner, and for everyone whom the user shares
        everything or medical information with automatically. Those who have access to the patient,
        too, find it by the patient. It is given its ``id`` before anything is sent, so that the
        call can be repeated with the same object after a failure.

        Args:
            healthcare_element: to create, or as it was read, with changes.
            patient_id: id of the patient it belongs to; needed to create one. It can't be changed
                later.

        Returns:
            The healthcare element as stored, decrypted.

        Raises:
            ValidationError: a member is malformed, a new one has no ``patient_id``, or a stored one
                belongs to another patient. Nothing was sent.
            NotFoundError: there is no such patient, or no such healthcare element to modify.
            PermissionDeniedError: this user may not read the patient.
            CryptoError: this user has no secret id of the patient, by which others would find it.
            DecryptionError: the stored one can't be decrypted, so that it would be lost.
            ConflictError: somebody else changed it.

        Example:
            >>> asthma = HealthcareElement(description="Asthma", note="Since childhood")
            >>> asthma = await api.healthcare_element_api.create_or_modify_healthcare_element(
            ...     asthma, patient.id
            ... )
            >>> asthma.note = "Since 1998"
            >>> asthma = await api.healthcare_element_api.create_or_modify_healthcare_element(
            ...     asthma
            ... )
            >>> asthma.note
            'Since 1998'
        """
        if isinstance(healthcare_element, EncryptedHealthcareElement):
            raise DecryptionError(
                f"Healthcare element {healthcare_element.id} was read without a key that opens it, "
                "so it can't be replaced. Read it again once this user has access to it, and "
                "change that.",
                entity_type=_NOUN,
                entity_ids=[str(healthcare_element.id)],
            )
        return await self._of_patients.save(healthcare_element, patient_id)

    async def create_or_modify_healthcare_elements(
        self,
        healthcare_elements: Iterable[HealthcareElement],
        patient_id: str | None = None,
        *,
        progress: Callable[[BatchProgress], Awaitable[None]] | None = None,
    ) -> BatchResult[HealthcareElement]:
        """Save several healthcare elements of a patient, and return what became of each.

        Each is saved like :meth:`create_or_modify_healthcare_element` does, with few requests.
        Repeating the call with the same objects finishes the job, whatever has become of the first
        one.

        Args:
            healthcare_elements: to create, or as they were read, with changes.
            patient_id: id of the patient they belong to; needed where some are new.
            progress: called after each request with the number of those that have an outcome; the
                error that it raises ends the call.

        Returns:
            One item for each, in their order, with the healthcare element as stored, or the reason
            why it was not saved.

        Raises:
            ValidationError: ``healthcare_elements`` is not a list of such, or ``patient_id`` is
                malformed. Nothing was sent.
            ConfigurationError: ``progress`` can't be called.

        Example:
            >>> both = [HealthcareElement(description=text) for text in ("Asthma", "Hay fever")]
            >>> result = await api.healthcare_element_api.create_or_modify_healthcare_elements(
            ...     both, patient.id
            ... )
            >>> [each.description for each in result.saved]
            ['Asthma', 'Hay fever']
        """
        return await self._of_patients.save_many(healthcare_elements, patient_id, progress)

    async def get_healthcare_element(self, healthcare_element_id: str) -> HealthcareElement:
        """Return a healthcare element, decrypted.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such healthcare element.
            DecryptionError: no key on this device opens it.

        Example:
            >>> found = await api.healthcare_element_api.get_healthcare_element(condition.id)
            >>> found.description
            'Asthma'
        """
        return await self._elements.get(healthcare_element_id)

    async def get_healthcare_element_and_try_decrypt(
        self, healthcare_element_id: str
    ) -> PotentiallyEncryptedHealthcareElement:
        """Return a healthcare element, an :class:`EncryptedHealthcareElement` if no key opens it.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such healthcare element.

        Example:
            >>> elements = api.healthcare_element_api
            >>> found = await elements.get_healthcare_element_and_try_decrypt(condition.id)
            >>> isinstance(found, EncryptedHealthcareElement)
            False
        """
        return await self._elements.get_and_try_decrypt(healthcare_element_id)

    def filter_healthcare_element(
        self,
        healthcare_element_filter: HealthcareElementFilter | Filter | None = None,
        *,
        page_size: int = 1000,
    ) -> AsyncGenerator[PotentiallyEncryptedHealthcareElement, None]:
        """Iterate over the healthcare elements that a filter finds, decrypted.

        While a page is given out, the next one is read. One that no key on this device opens comes
        as an :class:`EncryptedHealthcareElement`. Each comes once, even where others come and go.

        Args:
            healthcare_element_filter: a :class:`HealthcareElementFilter`, or a filter made of such;
                by default, everything that is shared with the current data owner.
            page_size: how many to ask the backend for at a time.

        Raises:
            ValidationError: an argument is malformed, or the filter searches encrypted members.
                Nothing was sent.

        Example:
            >>> wanted = HealthcareElementFilter().for_patients([patient])
            >>> found = api.healthcare_element_api.filter_healthcare_element(wanted)
            >>> [each.id async for each in found]
            []
        """
        wanted = _filter_of(healthcare_element_filter)
        found = self._of_patients.find(wanted, validate_page_size(page_size))
        return OneByOne(found, "healthcare_element_api.filter_healthcare_element()")

    async def match_healthcare_element(
        self, healthcare_element_filter: HealthcareElementFilter | Filter | None = None
    ) -> list[str]:
        """Return the ids of all healthcare elements that a filter finds, with one request.

        Patients whose ids are in the filter are read before, with a request each: pass them as
        they were read to spare that.

        Args:
            healthcare_element_filter: as for :meth:`filter_healthcare_element`.

        Raises:
            ValidationError: as for :meth:`filter_healthcare_element`.

        Example:
            >>> found = await api.healthcare_element_api.match_healthcare_element()
            >>> condition.id in found
            True
        """
        return await self._elements.match(_filter_of(healthcare_element_filter))

    async def get_healthcare_elements_for_patient(
        self, patient: PotentiallyEncryptedPatient | str
    ) -> list[PotentiallyEncryptedHealthcareElement]:
        """Return the healthcare elements of a patient, decrypted.

        They are looked for by all secret ids of the patient that this user has, and among what is
        shared with the current data owner and with the organisations above it. One that no key on
        this device opens comes as an :class:`EncryptedHealthcareElement`. One that has a secret id
        of the patient and says, to those with access to it, that it is another patient's is left
        out, with a warning in the log.

        Args:
            patient: as it was read, which takes one request, or its id, which takes one more.

        Raises:
            ValidationError: it is neither. Nothing was sent.
            NotFoundError: there is no such patient.
            PermissionDeniedError: this user may not read the patient.
            CryptoError: this user has no secret id of the patient.
            InvalidResponseError: the backend answers with one that has no secret id of the patient.

        Example:
            >>> elements = api.healthcare_element_api
            >>> await elements.get_healthcare_elements_for_patient(patient)
            []
        """
        return await self._of_patients.of_patient(patient)

    async def give_access_to(
        self, healthcare_element: HealthcareElement, delegate_id: str
    ) -> HealthcareElement:
        """Share a healthcare element with another data owner, who can read and change it then.

        Nothing else of it changes, except that a delegate with access to the patient can find it by
        the patient afterwards. The patient is not shared with it. A call that is repeated finishes
        the job, and changes nothing where the delegate has access already. There is no way to take
        a share back: the delegate may have read the keys.

        Args:
            healthcare_element: as it was read. Save changes before.
            delegate_id: id of a healthcare professional, a patient or a device that has logged in
                once; not of the current data owner itself.

        Returns:
            The healthcare element as stored, with its new ``rev``.

        Raises:
            ValidationError: an argument is malformed, the delegate is the current data owner, or
                the healthcare element has changes that were not saved. Nothing was sent.
            NotFoundError: the delegate does not exist, or may not be read. Nothing was changed.
            CryptoError: the delegate has no public key yet, or the policy given to
                ``with_public_key_policy()`` does not confirm a key. Nothing was shared.
            DecryptionError: the current user can't read it. Nothing was sent.
            ConflictError: somebody else changed it.

        Example:
            >>> condition = await api.healthcare_element_api.give_access_to(
            ...     condition, colleague_id
            ... )
        """
        return await self._of_patients.give(healthcare_element, delegate_id)

    async def delete_healthcare_element(self, healthcare_element_id: str) -> str:
        """Mark a healthcare element as deleted: it can be read by its id, and is listed nowhere.

        Returns:
            The id of the healthcare element.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such healthcare element.
            PermissionDeniedError: this user may not delete it.

        Example:
            >>> elements = api.healthcare_element_api
            >>> await elements.delete_healthcare_element(condition.id) == condition.id
            True
        """
        return await self._elements.delete(healthcare_element_id)

    def subscribe_to_healthcare_element_events(
        self,
        event_types: Sequence[EventType],
        healthcare_element_filter: HealthcareElementFilter | Filter | None = None,
        *,
        reconnection: Reconnection | None = None,
        buffer_size: int = 1000,
    ) -> Subscription[PotentiallyEncryptedHealthcareElement]:
        """Subscribe to healthcare elements that are created or changed.

        Each comes decrypted, or as an :class:`EncryptedHealthcareElement` where no key on this
        device opens it. See :class:`~icure_async.Subscription`.

        Args:
            event_types: what to be told of: ``CREATE``, ``UPDATE``, ``DELETE``. Backends say
                ``UPDATE`` of a deletion, too.
            healthcare_element_filter: a :class:`HealthcareElementFilter`, or a filter made of such;
                by default everything that this user may read.
            reconnection: how the connection is made again when it breaks.
            buffer_size: how many events may wait to be taken before the backend has to wait.

        Raises:
            ValidationError: an argument is malformed, or the filter searches encrypted members.

        Example:
            >>> elements = api.healthcare_element_api
            >>> async with elements.subscribe_to_healthcare_element_events(["CREATE"]) as events:
            ...     asthma = await elements.create_or_modify_healthcare_element(
            ...         HealthcareElement(description="Asthma"), patient.id
            ...     )
            ...     event = await events.get(timeout=10)
            >>> event.record.description
            'Asthma'
        """
        return subscribed(
            self._events,
            event_types,
            healthcare_element_filter,
            reconnection=reconnection,
            buffer_size=buffer_size,
        )


def _filter_of(given: HealthcareElementFilter | Filter | None) -> Filter:
    return filter_for(_NOUN, HealthcareElementFilter() if given is None else given)
