"""Data samples and their contents, which may hold data samples again."""

from typing import Any, TypeAlias

import attrs

from icure_async.models.base import EntityModel, ValueModel
from icure_async.models.codes import CodingReference, Identifier
from icure_async.models.dates import FUZZY_DATE_TIME, MOMENT, given_date_time, given_moment
from icure_async.models.json_values import hidden
from icure_async.models.measures import Measure, TimeSeries
from icure_async.models.system_meta_data import SystemMetaDataEncrypted

__all__ = [
    "Content",
    "DataSample",
    "EncryptedDataSample",
    "PotentiallyEncryptedDataSample",
]


@attrs.define(kw_only=True, repr=False)
class Content(ValueModel):
    """The value of a data sample, in one language (data-model.md §6).

    One of the members is set: a content says one thing. All of it is encrypted end to end.

    Attributes:
        string_value: a text.
        number_value: a number without a unit.
        boolean_value: yes or no.
        instant_value: a moment, in epoch milliseconds. It may be given as a datetime.
        fuzzy_date_value: a fuzzy date or date-time. It may be given as a date or a datetime.
        binary_value: bytes; larger ones are better attached as a document.
        document_id: id of a document, set by ``set_data_sample_attachment()``.
        measure_value: a number with its unit.
        medication_value: a medication, as the JSON object that iCure has for it.
        time_series: numbers that were measured one after the other.
        compound_value: data samples that belong together.
        ratio: measures that are to be divided by each other.
        range: measures between which the value lies.

    Example:
        >>> Content(measure_value=Measure(value=38.5, unit="°C")).measure_value.value
        38.5
    """

    string_value: str | None = None
    number_value: float | None = None
    boolean_value: bool | None = None
    instant_value: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    fuzzy_date_value: int | None = attrs.field(
        default=None, converter=given_date_time, metadata=FUZZY_DATE_TIME
    )
    binary_value: bytes | None = None
    document_id: str | None = None
    measure_value: Measure | None = None
    medication_value: dict[str, Any] | None = None
    time_series: TimeSeries | None = None
    compound_value: "list[DataSample]" = attrs.field(factory=list["DataSample"])
    ratio: list[Measure] = attrs.field(factory=list[Measure])
    range: list[Measure] = attrs.field(factory=list[Measure])


# Nobody makes one, so that a constructor and comparisons would only take time to generate.
@attrs.define(kw_only=True, repr=False, init=False, eq=False)
class _DataSampleMembers(EntityModel):
    """The members that readable and unreadable data samples have in common."""

    identifiers: list[Identifier] = attrs.field(
        factory=list[Identifier], metadata={"wire": "identifier"}
    )
    content: dict[str, Content] = attrs.field(factory=dict[str, Content])
    qualified_links: dict[str, dict[str, str]] | None = None
    codes: list[CodingReference] = attrs.field(factory=list[CodingReference])
    labels: list[CodingReference] = attrs.field(
        factory=list[CodingReference], metadata={"wire": "tags"}
    )
    transaction_id: str | None = None
    batch_id: str | None = attrs.field(default=None, metadata={"wire": "contactId"})
    index: int | None = None
    value_date: int | None = attrs.field(
        default=None, converter=given_date_time, metadata=FUZZY_DATE_TIME
    )
    opening_date: int | None = attrs.field(
        default=None, converter=given_date_time, metadata=FUZZY_DATE_TIME
    )
    closing_date: int | None = attrs.field(
        default=None, converter=given_date_time, metadata=FUZZY_DATE_TIME
    )
    created: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    modified: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    end_of_life: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    author: str | None = None
    responsible: str | None = None
    comment: str | None = None
    healthcare_element_ids: list[str] = attrs.field(
        factory=list[str], metadata={"wire": "healthElementsIds"}
    )
    canvases_ids: list[str] = attrs.field(factory=list[str], metadata={"wire": "formIds"})
    system_meta_data: SystemMetaDataEncrypted | None = attrs.field(
        default=None, metadata={"flat": True}
    )

    @property
    def is_deleted(self) -> bool:
        """True if the data sample was deleted: nothing is left of its content then."""
        return self.end_of_life is not None


@attrs.define(kw_only=True, repr=False)
class DataSample(_DataSampleMembers):
    """A data sample: something that was measured, observed or said (data-model.md §6).

    ``content`` is encrypted. Everything else is in clear on the backend: labels, codes, dates and
    the comment among them. Data samples are saved in batches, each of which has one set of keys;
    they have no ``rev`` of their own.

    Attributes:
        id: id of the data sample; made by the SDK when it is created without one.
        rev: always None.
        identifiers: names of the data sample in other systems.
        content: what it says, by language, for example ``{"en": Content(string_value="Tired")}``.
        qualified_links: links to other data samples, by kind and name: ``{"parent": {"1": id}}``.
        codes: codes of terminologies.
        labels: labels (``tags`` on the wire).
        transaction_id: id that data samples of one measurement have in common.
        batch_id: id of the batch it was saved with (``contactId`` on the wire); None for a new one.
        index: its place among the data samples of its batch.
        value_date: when it was measured: a fuzzy date, a fuzzy date-time, or epoch milliseconds. It
            may be given as a date or a datetime, and is the integer at once.
        opening_date: when what it says began, like the value date.
        closing_date: when what it says ended, like the value date.
        created: when it was created, in epoch milliseconds.
        modified: when it was last modified, in epoch milliseconds.
        end_of_life: when it was deleted, in epoch milliseconds.
        author: id of the user who created it.
        responsible: id of the data owner who is responsible for it.
        comment: free text, in clear on the backend.
        healthcare_element_ids: ids of the healthcare elements that it is about.
        canvases_ids: ids of forms that it was entered in; they are read only.
        system_meta_data: keys and delegations of its batch, kept up by the SDK.
        unknown_fields: members that this SDK does not know, written back as they are; None if the
            data sample was not read from a backend.

    Example:
        >>> weight = Content(measure_value=Measure(value=61.4, unit="kg"))
        >>> sample = DataSample(content={"en": weight}, comment="Before breakfast")
        >>> sample  # a repr shows ids, and nothing of the content
        DataSample(id=None, rev=None)
        >>> sample.content["en"].measure_value.unit
        'kg'
    """


@attrs.define(kw_only=True, repr=False)
class EncryptedDataSample(_DataSampleMembers):
    """A data sample that no key on this device opens: it has everything but ``content``.

    Example:
        >>> EncryptedDataSample().content
        {}
    """

    # Anybody may have written one that can't be read.
    content: dict[str, Content] = attrs.field(
        factory=dict[str, Content], metadata={"reads": hidden}
    )


PotentiallyEncryptedDataSample: TypeAlias = DataSample | EncryptedDataSample
"""A data sample, readable or not."""
