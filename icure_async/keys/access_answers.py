"""Answers to the requests of invited patients for access to their own data.

A request is a notification, which anybody may write. It is believed where it was encrypted by the
patient that it names, and then that patient's record is shared with that patient, and with nobody
else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.entities.kinds import PATIENT
from icure_async.errors import (
    DecryptionError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.foreign_text import printable
from icure_async.models.access_request import AccessAnswer
from icure_async.models.notification import EncryptedNotification, Notification
from icure_async.models.validation import validate_id
from icure_async.rest.documents import is_id

if TYPE_CHECKING:
    from icure_async.entities.metadata import EntityKeys
    from icure_async.entities.patient_data import AllDataOfPatients
    from icure_async.entities.repository import Repository
    from icure_async.keys.own_document import OwnDocument
    from icure_async.models.notification import PotentiallyEncryptedNotification
    from icure_async.rest.users import UserResource

__all__ = ["AccessAnswers"]

_TYPE: Final = "NEW_USER_OWN_DATA_ACCESS"
_OPEN_STATES: Final = frozenset({None, "pending", "ongoing", "completed"})
_UNCHANGED: Final = "Nothing was shared. If somebody else asks for the patient, call the patient."


class AccessAnswers:
    """Gives invited patients access, on behalf of the current data owner.

    Repeating an answer finishes it, and sends nothing but questions where all is done.
    """

    def __init__(
        self,
        *,
        own_document: OwnDocument,
        notifications: Repository[Notification, EncryptedNotification],
        all_data: AllDataOfPatients,
        metadata: EntityKeys,
        users: UserResource,
    ) -> None:
        self._own = own_document
        self._notifications = notifications
        self._all_data = all_data
        self._metadata = metadata
        self._users = users

    async def answer(self, notification: PotentiallyEncryptedNotification) -> AccessAnswer:
        """Share a patient's record with the patient who asks for it.

        ``DataOwnerApi.answer_access_request`` has the arguments and errors.
        """
        if not isinstance(notification, Notification | EncryptedNotification):
            raise ValidationError("The notification must be a Notification.")
        # As it is stored: the one that was passed is the caller's, who may have changed it.
        stored = await self._notifications.read(validate_id(notification.id, "notification id"))
        patient_id = await self._patient_of(stored)
        await self._check_asked_by(patient_id, stored)
        if notification.responsible not in (None, patient_id):
            # Its author may change it after the person has looked at it.
            raise ValidationError(
                f"Notification {printable(str(stored['id']))} names another patient than before. "
                f"Read it again, and see who asks. {_UNCHANGED}"
            )
        await self._check_is_patient(patient_id)
        access = await self._all_data.give_access(patient_id, patient_id)
        changes = {"status": "completed"} if access.success else {}
        answered = await self._notifications.update(str(stored["id"]), changes)
        return AccessAnswer(access=access, notification=answered)

    async def _patient_of(self, task: dict[str, Any]) -> str:
        """Return the id of the patient who asks, as far as the notification itself says.

        Raises:
            ValidationError: it is no such request, or not one for us.
        """
        task_id = printable(str(task["id"]))
        if task.get("taskType") != _TYPE:
            raise ValidationError(
                f"Notification {task_id} is no request for access to own data: only those of type "
                f"{_TYPE} are. Nothing was shared."
            )
        if task.get("deletionDate") or task.get("status") not in _OPEN_STATES:
            raise ValidationError(
                f"Notification {task_id} was deleted or cancelled. Nothing was shared: have the "
                "patient ask again."
            )
        patient_id = task.get("responsible")
        if not isinstance(patient_id, str) or not is_id(patient_id):
            raise ValidationError(f"Notification {task_id} names no patient. {_UNCHANGED}")
        if patient_id == await self._own.own_id():
            raise ValidationError(
                f"Notification {task_id} is the current user's own request: those that it asks "
                "answer it. Nothing was shared."
            )
        return patient_id

    async def _check_asked_by(self, patient_id: str, task: dict[str, Any]) -> None:
        """Raise unless the patient has written the notification.

        Raises:
            DecryptionError: no key of ours opens it.
            ValidationError: somebody else has encrypted it, or its author is another's user.
        """
        task_id = printable(str(task["id"]))
        authors = await self._metadata.authors_of(task)
        if not authors:
            raise DecryptionError(
                f"Notification {task_id} can't be decrypted, so nobody knows who has written it. "
                "Nothing was shared: call init_user_crypto() with the key pair that opens it.",
                entity_type="notification",
                entity_ids=[str(task["id"])],
            )
        if patient_id not in authors:
            raise ValidationError(
                f"Notification {task_id} names a patient who has not written it. {_UNCHANGED}"
            )
        author_id = task.get("author")
        if not isinstance(author_id, str) or not is_id(author_id):
            raise ValidationError(f"Notification {task_id} names no author. {_UNCHANGED}")
        try:
            user = await self._users.get(author_id)
        except NotFoundError:
            user = {}
        except PermissionDeniedError:
            # Not every backend shows the users of others.
            return
        if user.get("patientId") != patient_id:
            raise ValidationError(
                f"The author of notification {task_id} is not the user of the patient that it "
                f"names. {_UNCHANGED}"
            )

    async def _check_is_patient(self, patient_id: str) -> None:
        """Raise unless the data owner with the patient's id is the patient.

        Data owners of other kinds have ids of their own, and one may be chosen to be this one.

        Raises:
            NotFoundError: it can't be read.
            ValidationError: it is not.
        """
        owner = await self._own.require_anew(patient_id)
        if owner.kind != PATIENT.route:
            raise ValidationError(
                f"Data owner {patient_id} is not a patient, though a patient has the same id. "
                f"{_UNCHANGED}"
            )
