"""Postal addresses of a person, and means of communication."""

import attrs

from icure_async.models.base import ValueModel
from icure_async.models.enums import AddressType, TelecomType

__all__ = ["Address", "Telecom"]


@attrs.define(kw_only=True, repr=False)
class Telecom(ValueModel):
    """A telephone number, an email address or their like (data-model.md §2).

    Attributes:
        telecom_type: means of communication.
        telecom_number: the number or address.
        telecom_description: free text.

    Example:
        >>> Telecom(telecom_type="mobile", telecom_number="+32470123456").telecom_type
        'mobile'
    """

    telecom_type: TelecomType | None = None
    telecom_number: str | None = None
    telecom_description: str | None = None


@attrs.define(kw_only=True, repr=False)
class Address(ValueModel):
    """A postal address with its means of communication (data-model.md §2).

    Attributes:
        address_type: what the address is for.
        description: free text (``descr`` on the wire).
        street: street.
        house_number: number in the street.
        postbox_number: box or flat.
        postal_code: postal code.
        city: city.
        state: state or province.
        country: country.
        note: free text, in clear on the backend.
        telecoms: means of communication at this address.

    Example:
        >>> email = Telecom(telecom_type="email", telecom_number="arya@winterfell.example")
        >>> Address(address_type="home", city="Winterfell", telecoms=[email]).telecoms[
        ...     0
        ... ].telecom_type
        'email'
    """

    address_type: AddressType | None = None
    description: str | None = attrs.field(default=None, metadata={"wire": "descr"})
    street: str | None = None
    house_number: str | None = None
    postbox_number: str | None = None
    postal_code: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None
    note: str | None = None
    telecoms: list[Telecom] = attrs.field(factory=list[Telecom])
