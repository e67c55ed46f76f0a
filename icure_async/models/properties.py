"""Typed key-value pairs that applications attach to patients and users."""

import attrs

from icure_async.models.base import ValueModel
from icure_async.models.dates import MOMENT, given_moment
from icure_async.models.enums import PropertyTypeName

__all__ = ["Property", "PropertyType", "TypedValueObject"]


@attrs.define(kw_only=True, repr=False)
class PropertyType(ValueModel):
    """Name of a property and kind of its value (data-model.md §2).

    Attributes:
        identifier: name of the property.
        type: kind of value.
    """

    identifier: str | None = None
    type: PropertyTypeName | None = None


@attrs.define(kw_only=True, repr=False)
class TypedValueObject(ValueModel):
    """Value of a property: the member that goes with its type is set (data-model.md §2).

    Attributes:
        type: kind of value.
        boolean_value: value of a ``BOOLEAN``.
        integer_value: value of an ``INTEGER``.
        double_value: value of a ``DOUBLE``.
        string_value: value of a ``STRING``, ``CLOB`` or ``JSON``.
        date_value: value of a ``DATE``, in epoch milliseconds.
    """

    type: PropertyTypeName | None = None
    boolean_value: bool | None = None
    integer_value: int | None = None
    double_value: float | None = None
    string_value: str | None = None
    date_value: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)


@attrs.define(kw_only=True, repr=False)
class Property(ValueModel):
    """A property (data-model.md §2).

    Attributes:
        id: id of the property.
        type: its name and kind.
        typed_value: its value.
        deleted: when it was deleted, in epoch milliseconds (``deletionDate`` on the wire).

    Example:
        >>> kind = PropertyType(type="STRING")
        >>> value = TypedValueObject(type="STRING", string_value="second-opinion")
        >>> Property(id="subject", type=kind, typed_value=value).typed_value.string_value
        'second-opinion'
    """

    id: str | None = None
    type: PropertyType | None = None
    typed_value: TypedValueObject | None = None
    deleted: int | None = attrs.field(
        default=None, converter=given_moment, metadata={"wire": "deletionDate", **MOMENT}
    )
