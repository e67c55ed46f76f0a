"""Measures and time series, which contents of data samples hold."""

import attrs

from icure_async.models.base import ValueModel
from icure_async.models.codes import CodingReference

__all__ = ["Measure", "TimeSeries"]


@attrs.define(kw_only=True, repr=False)
class Measure(ValueModel):
    """A number with its unit (data-model.md §6).

    Attributes:
        value: the number.
        min: smallest value that is normal.
        max: largest value that is normal.
        ref: value that is to be expected.
        severity: how serious the value is.
        severity_code: the same as a text.
        evolution: how it has changed.
        unit: the unit as a text, for example ``mmHg``.
        unit_codes: the unit as codes.
        comment: free text.
        comparator: for example ``<=``, where only a bound is known.

    Example:
        >>> Measure(value=38.5, unit="°C").unit
        '°C'
    """

    value: float | None = None
    min: float | None = None
    max: float | None = None
    ref: float | None = None
    severity: int | None = None
    severity_code: str | None = None
    evolution: int | None = None
    unit: str | None = None
    unit_codes: list[CodingReference] | None = None
    comment: str | None = None
    comparator: str | None = None


@attrs.define(kw_only=True, repr=False)
class TimeSeries(ValueModel):
    """Numbers that were measured one after the other (data-model.md §6).

    Attributes:
        fields: the names of the columns, for example ``["ms", "mV"]``.
        samples: the rows, each with a number for each column.
        min: smallest number of each column.
        max: largest number of each column.
        mean: mean of each column.
        median: median of each column.
        variance: variance of each column.

    Example:
        >>> len(TimeSeries(fields=["ms", "mV"], samples=[[0, 0.1], [4, 0.3]]).samples)
        2
    """

    fields: list[str] = attrs.field(factory=list[str])
    samples: list[list[float]] = attrs.field(factory=list[list[float]])
    min: list[float] = attrs.field(factory=list[float])
    max: list[float] = attrs.field(factory=list[float])
    mean: list[float] = attrs.field(factory=list[float])
    median: list[float] = attrs.field(factory=list[float])
    variance: list[float] = attrs.field(factory=list[float])
