"""Names of persons."""

import attrs

from icure_async.models.base import ValueModel
from icure_async.models.dates import FUZZY_DATE, given_date
from icure_async.models.enums import PersonNameUse

__all__ = ["PersonName"]


@attrs.define(kw_only=True, repr=False)
class PersonName(ValueModel):
    """One of the names of a person (data-model.md §2).

    Attributes:
        last_name: family name.
        first_names: given names, in order.
        start: fuzzy date (``YYYYMMDD``) since when the name is used.
        end: fuzzy date (``YYYYMMDD``) until when the name is used.
        prefix: what stands before the name, such as titles.
        suffix: what stands behind the name.
        text: the whole name as it is to be shown.
        use: what the name is used for.

    Example:
        >>> PersonName(last_name="Stark", first_names=["Arya"], use="official").first_names
        ['Arya']
    """

    last_name: str | None = None
    first_names: list[str] | None = None
    start: int | None = attrs.field(default=None, converter=given_date, metadata=FUZZY_DATE)
    end: int | None = attrs.field(default=None, converter=given_date, metadata=FUZZY_DATE)
    prefix: list[str] | None = None
    suffix: list[str] | None = None
    text: str | None = None
    use: PersonNameUse | None = None
