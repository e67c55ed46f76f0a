# Written by "python tools/gen_sync.py" from icure_async/apis/medical_devices.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Medical devices, and applications that record data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.medical_devices import MedicalDeviceApi as AsyncMedicalDeviceApi
from icure_sync._plain import callback
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from icure_async.models.batch import BatchProgress, BatchResult
    from icure_async.models.filters import Filter, MedicalDeviceFilter
    from icure_async.models.medical_device import MedicalDevice
    from icure_sync._iterators import ClosableIterator

__all__ = ["MedicalDeviceApi"]


class MedicalDeviceApi(Twin[AsyncMedicalDeviceApi]):
    """Creates, reads, finds, modifies and deletes medical devices.

    Example:
        >>> api.medical_device_api.get_medical_device(device.id).name
        'Glucose meter'
    """

    def create_or_modify_medical_device(self, medical_device: MedicalDevice) -> MedicalDevice:
        """Create the device if it has no ``rev``, else replace the stored one.

        A new one is given its ``id`` before anything is sent, so that the call can be repeated with
        the same object after a failure without creating a second device. The keys of a stored
        device stay as they are, even where others add some at the time.

        Args:
            medical_device: to create, or as it was read, with changes.

        Returns:
            The device as stored.

        Raises:
            ValidationError: a member is malformed, a device was given other keys, or would be among
                its own parents. Nothing was changed.
            NotFoundError: there is no such device to modify.
            PermissionDeniedError: the user may not create or modify it.
            ConflictError: somebody else changed the device.

        Example:
            >>> device = MedicalDevice(name="Glucose meter", brand="Citadel", model="G1")
            >>> device = api.medical_device_api.create_or_modify_medical_device(device)
            >>> device.model = "G2"
            >>> api.medical_device_api.create_or_modify_medical_device(device).model
            'G2'
        """
        return self._run(self._inner.create_or_modify_medical_device, medical_device)

    def create_or_modify_medical_devices(
        self,
        medical_devices: Iterable[MedicalDevice],
        *,
        progress: Callable[[BatchProgress], None] | None = None,
    ) -> BatchResult[MedicalDevice]:
        """Save several devices, with few requests, and return what became of each.

        Each is saved like :meth:`create_or_modify_medical_device` does. Repeating the call with the
        same objects finishes the job, whatever has become of the first one.

        Args:
            medical_devices: to create, or as they were read, with changes.
            progress: called after each request with the number of devices that have an outcome; the
                error that it raises ends the call.

        Returns:
            One item for each device, in their order, with the device as stored, or the reason why
            it was not saved.

        Raises:
            ValidationError: ``medical_devices`` is not a list of devices. Nothing was sent.
            ConfigurationError: ``progress`` can't be called.

        Example:
            >>> meters = [MedicalDevice(name=f"Meter {number}") for number in (1, 2)]
            >>> result = api.medical_device_api.create_or_modify_medical_devices(meters)
            >>> [each.name for each in result.saved]
            ['Meter 1', 'Meter 2']
        """
        return self._run(
            self._inner.create_or_modify_medical_devices,
            medical_devices,
            progress=None if progress is None else callback(progress),
        )

    def get_medical_device(self, medical_device_id: str) -> MedicalDevice:
        """Return a medical device.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such device.

        Example:
            >>> api.medical_device_api.get_medical_device(device.id).name
            'Glucose meter'
        """
        return self._run(self._inner.get_medical_device, medical_device_id)

    def get_medical_devices(self, medical_device_ids: Sequence[str]) -> list[MedicalDevice]:
        """Return several medical devices, in the order of the ids.

        A request is made for 1,000 of them at a time.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist; the message names them.

        Example:
            >>> [
            ...     each.name
            ...     for each in api.medical_device_api.get_medical_devices([device.id])
            ... ]
            ['Glucose meter']
        """
        return self._run(self._inner.get_medical_devices, medical_device_ids)

    def filter_medical_devices(
        self,
        medical_device_filter: MedicalDeviceFilter | Filter | None = None,
        *,
        page_size: int = 1000,
    ) -> ClosableIterator[MedicalDevice]:
        """Iterate over the medical devices that a filter finds.

        While a page is given out, the next one is read. Each device comes once, even where others
        come and go.

        Args:
            medical_device_filter: a :class:`MedicalDeviceFilter`, or a filter made of such; by
                default, all devices.
            page_size: how many to ask the backend for at a time.

        Raises:
            ValidationError: an argument is malformed.

        Example:
            >>> found = api.medical_device_api.filter_medical_devices(
            ...     MedicalDeviceFilter().by_ids([device.id])
            ... )
            >>> [each.name for each in found]
            ['Glucose meter']
        """
        return self._iterate(
            self._inner.filter_medical_devices, medical_device_filter, page_size=page_size
        )

    def match_medical_devices(
        self, medical_device_filter: MedicalDeviceFilter | Filter | None = None
    ) -> list[str]:
        """Return the ids of the medical devices that a filter finds, with one request.

        Args:
            medical_device_filter: as for :meth:`filter_medical_devices`.

        Raises:
            ValidationError: the argument is malformed.

        Example:
            >>> device.id in api.medical_device_api.match_medical_devices()
            True
        """
        return self._run(self._inner.match_medical_devices, medical_device_filter)

    def delete_medical_device(self, medical_device_id: str) -> str:
        """Mark a medical device as deleted: it can still be read by its id, and is listed nowhere.

        Returns:
            The id of the device.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such device.
            PermissionDeniedError: the user may not delete it.

        Example:
            >>> api.medical_device_api.delete_medical_device(device.id) == device.id
            True
        """
        return self._run(self._inner.delete_medical_device, medical_device_id)

    def delete_medical_devices(self, medical_device_ids: Sequence[str]) -> list[str]:
        """Mark several medical devices as deleted.

        A request is made for 1,000 of them at a time.

        Returns:
            Their ids, each once.

        Raises:
            ValidationError: an id is malformed. Nothing was sent.
            NotFoundError: some do not exist; the message names them. The others were deleted.
            PermissionDeniedError: the user may not delete one of those in a request.

        Example:
            >>> api.medical_device_api.delete_medical_devices([device.id]) == [device.id]
            True
        """
        return self._run(self._inner.delete_medical_devices, medical_device_ids)
