"""The base of all models: JSON in and out, copies with changes, reprs that show no content."""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast

import attrs

from icure_async.mistakes import explained, no_attribute
from icure_async.models.date_slots import convert_dates
from icure_async.models.wire import from_document, to_document

__all__ = ["EntityModel", "Model", "ValueModel", "has_id", "has_rev"]


_UNSET: Final[Mapping[str, type]] = {
    "assumed_fields": dict,
    "exposed_fields": tuple,
    "unknown_fields": dict,
}


# Nobody makes one of these three: a constructor and comparisons would only take time to generate.
@attrs.define(kw_only=True, repr=False, init=False, eq=False)
class Model:
    """Base of the models.

    Attributes:
        assumed_fields: members that were missing on the wire, could not be read, or have a value
            that may not be set anew, with their value here. As long as they keep it, they are
            written back the way they came, so that reading and saving changes nothing by itself.
    """

    assumed_fields: dict[str, Any] = attrs.field(factory=dict[str, Any], eq=False, repr=False)

    def __init_subclass__(cls) -> None:
        explained(cls)
        convert_dates(cls)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            # Unset in a model that was read and has none of either.
            if name not in _UNSET:
                no_attribute(self, name)
            setattr(self, name, _UNSET[name]())
            return getattr(self, name)

    def to_dict(self, *, case: Literal["camel", "snake"] = "camel") -> dict[str, Any]:
        """Return the JSON-ready form that the documentation of the MedTech SDK prints.

        Unset members are absent, empty collections are kept, dates stay the integers iCure uses and
        bytes become base64 text (data-model.md §1, §3.2). Members of a newer backend
        (``unknown_fields``) are not part of it.

        Args:
            case: of the names of members: ``camel`` as in that documentation (``firstName``), or
                ``snake`` as the attributes are called here (``first_name``).

        Raises:
            ValidationError: there is no such case.
        """
        return to_document(self, case)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Self:
        """Build a model from what :meth:`to_dict` returns, in either case.

        Raises:
            ValidationError: a member is unknown, has the wrong type, or is there in both cases.
        """
        return from_document(cls, mapping)

    def evolve(self, **changes: Any) -> Self:
        """Return a copy with the given attributes replaced. Nothing is shared with the original."""
        return attrs.evolve(copy.deepcopy(self), **changes)


@attrs.define(kw_only=True, repr=False, init=False, eq=False)
class ValueModel(Model):
    """A model that lives inside another one.

    Attributes:
        unknown_fields: members a newer backend sent, by wire name. They are written back as they
            are, and take no part in comparisons.
    """

    unknown_fields: dict[str, Any] = attrs.field(factory=dict[str, Any], eq=False, repr=False)

    def __repr__(self) -> str:
        names = (
            attribute.name
            for attribute in attrs.fields(type(self))
            if attribute.eq and getattr(self, attribute.name) not in (None, [], {})
        )
        return f"{type(self).__name__}({', '.join(names)})"


@attrs.define(kw_only=True, repr=False, init=False, eq=False)
class EntityModel(Model):
    """A model that the backend stores as a document of its own.

    Attributes:
        id: id of the document. Where it was created without one it is None until it was saved;
            type checkers are told that it is a text, which it is of every saved one.
        rev: revision of the document; None until it was saved, as for the id.
        unknown_fields: members a newer backend sent, by wire name. They are written back as they
            are, and take no part in comparisons. None if the model was not read from a backend.
        exposed_fields: attributes that ``with_encrypted_fields()`` of the builder names, and that
            were found in clear on the backend. Saving the record encrypts them.
    """

    # To a type checker every record is a saved one: get_patient(patient.id) is right.
    id: str = attrs.field(default=cast("str", None))
    rev: str = attrs.field(default=cast("str", None))
    unknown_fields: dict[str, Any] | None = attrs.field(default=None, eq=False, repr=False)
    exposed_fields: tuple[str, ...] = attrs.field(default=(), eq=False, repr=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, rev={self.rev!r})"


def has_id(record: EntityModel) -> bool:
    """Return whether a record has an id, which one that was never saved may lack."""
    return cast("str | None", record.id) is not None


def has_rev(record: EntityModel) -> bool:
    """Return whether a record has a revision, which one that was never saved lacks."""
    return cast("str | None", record.rev) is not None
