"""Filters for medical devices, and their builder (data-model.md §8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import attrs

from icure_async.mistakes import explained
from icure_async.models.filters.builder import FilterBuilder
from icure_async.models.filters.leaf import Leaf, on_wire
from icure_async.models.filters.values import to_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.models.filters.algebra import Filter

__all__ = ["AllMedicalDevicesFilter", "MedicalDeviceFilter", "MedicalDevicesByIdsFilter"]


@attrs.frozen(kw_only=True)
class _DeviceLeaf(Leaf):
    """The common part of the filters for medical devices."""

    noun: ClassVar[str] = "medical device"

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all medical devices."""
        del data_owner_id
        return AllMedicalDevicesFilter()


@attrs.frozen(kw_only=True)
class AllMedicalDevicesFilter(_DeviceLeaf):
    """All medical devices.

    Attributes:
        description: a text for those who read the requests.

    Example:
        >>> device.id in await api.medical_device_api.match_medical_devices(
        ...     AllMedicalDevicesFilter()
        ... )
        True
    """

    wire_type: ClassVar[str] = "AllDevicesFilter"


@attrs.frozen(kw_only=True)
class MedicalDevicesByIdsFilter(_DeviceLeaf):
    """Medical devices with these ids, deleted ones included.

    Attributes:
        ids: ids of medical devices; without any, none is found.
        description: a text for those who read the requests.

    Example:
        >>> wanted = MedicalDevicesByIdsFilter(ids=[device.id])
        >>> await api.medical_device_api.match_medical_devices(wanted) == [device.id]
        True
    """

    wire_type: ClassVar[str] = "DeviceByIdsFilter"
    ids: tuple[str, ...] = attrs.field(converter=to_ids, metadata=on_wire("ids"))


@explained
@attrs.frozen(kw_only=True)
class MedicalDeviceFilter(FilterBuilder):
    """Builds filters for medical devices the way the reference documentation shows it.

    Each method returns a builder with one more criterion; called again, it replaces that. Together
    with :meth:`union`, they are one. Without any, all medical devices are found.

    ``MedicalDeviceFilter().by_ids([device_id])``

    Example:
        >>> one = MedicalDeviceFilter().by_ids([device.id])
        >>> await api.medical_device_api.match_medical_devices(one) == [device.id]
        True
    """

    _order: ClassVar[tuple[str, ...]] = ("by_ids",)

    def by_ids(self, ids: Iterable[str]) -> Self:
        """Find devices with these ids, deleted ones included; an empty list finds none.

        Example:
            >>> one = MedicalDeviceFilter().by_ids([device.id])
            >>> await api.medical_device_api.match_medical_devices(one) == [device.id]
            True
        """
        return self._with("by_ids", MedicalDevicesByIdsFilter(ids=ids))

    def _all(self) -> Leaf:
        return AllMedicalDevicesFilter()
