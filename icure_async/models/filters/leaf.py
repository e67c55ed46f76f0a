"""Filters that do not consist of others: the members on the wire are the fields of the class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, cast

import attrs

from icure_async.errors import ValidationError
from icure_async.models.codes import Identifier
from icure_async.models.filters.algebra import Described
from icure_async.models.filters.values import to_optional_id, to_patients, to_secret_ids
from icure_async.models.wire import to_wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.models.patient import Patient

__all__ = ["Leaf", "OwnedLeaf", "PatientsLeaf", "on_wire"]

_WIRE: Final = "wire"
_SEARCHES: Final = "searches"
_LOCAL: Final = "local"


def on_wire(wire: str, **searches: str) -> dict[str, Any]:
    """Return the metadata of a field.

    Args:
        wire: its name on the wire.
        **searches: the members of records that it is compared with: the names in their model, with
            those on the wire.
    """
    return {_WIRE: wire, _SEARCHES: searches}


@attrs.frozen(kw_only=True)
class Leaf(Described):
    """The common part of the filters that do not consist of others.

    Attributes:
        noun: the kind of what is looked for, in words.
        wire_type: the ``$type``.
    """

    noun: ClassVar[str]
    wire_type: ClassVar[str]

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON."""
        del data_owner_id
        # In the order of the fields, those of the bases first.
        members = {
            field.metadata[_WIRE]: _as_json(getattr(self, field.name)) for field in self._given()
        }
        return {**members, "$type": self.wire_type}

    def entities(self) -> frozenset[str]:
        """Return the kind of what is looked for."""
        return frozenset({self.noun})

    def data_owners(self) -> frozenset[str | None]:
        """Return whose data is looked at: nobody's in particular."""
        return frozenset()

    def searched_members(self) -> Mapping[str, str]:
        """Return the members that a record is found by."""
        searches = [field.metadata.get(_SEARCHES, {}) for field in self._given()]
        return {wire: name for names in searches for name, wire in names.items()}

    def _given(self) -> list[attrs.Attribute[Any]]:
        fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(self))
        return [
            field
            for field in fields
            if getattr(self, field.name) is not None and _LOCAL not in field.metadata
        ]


@attrs.frozen(kw_only=True)
class OwnedLeaf(Leaf):
    """The common part of the filters that look at what is shared with one data owner.

    Attributes:
        data_owner_id: with whom it is shared; None for the current data owner.
    """

    data_owner_id: str | None = attrs.field(
        default=None, converter=to_optional_id, metadata=on_wire("healthcarePartyId")
    )

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON."""
        if self.data_owner_id is None:
            return attrs.evolve(self, data_owner_id=data_owner_id).to_wire(data_owner_id)
        return super().to_wire(data_owner_id)

    def data_owners(self) -> frozenset[str | None]:
        """Return whose data is looked at."""
        return frozenset({self.data_owner_id})


@attrs.frozen(kw_only=True)
class PatientsLeaf(OwnedLeaf):
    """The common part of the filters for what belongs to patients.

    Backends know no patient of an encrypted record: they compare its secret ids. Those have to be
    put in by :meth:`with_secret_ids` before the filter is sent.

    Attributes:
        patients: the patients, or their ids.
        secret_ids: the secret ids of these patients; None until they are known.
    """

    patients: tuple[Patient | str, ...] = attrs.field(
        converter=to_patients, repr=False, metadata={_LOCAL: True}
    )
    secret_ids: tuple[str, ...] | None = attrs.field(
        default=None,
        converter=to_secret_ids,
        repr=False,
        metadata=on_wire("patientSecretForeignKeys"),
    )

    def with_secret_ids(self, secret_ids: Iterable[str]) -> Self:
        """Return the same, as backends understand it."""
        return attrs.evolve(self, secret_ids=secret_ids)

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON.

        Raises:
            ValidationError: the secret ids of the patients are not known.
        """
        if self.secret_ids is None:
            raise ValidationError(
                "A filter for patients is sent with their secret ids, which only the API objects "
                "can find: pass it to the filter_… or match_… method of one."
            )
        return super().to_wire(data_owner_id)


def _as_json(value: object) -> object:
    if isinstance(value, tuple):
        return [_as_json(item) for item in cast("tuple[object, ...]", value)]
    return to_wire(value) if isinstance(value, Identifier) else value
