"""The contents of data samples in one line, and what arguments say of a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from icure_async.models.data_sample import Content
from icure_async.models.measures import Measure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icure_async.models.data_sample import PotentiallyEncryptedDataSample

__all__ = ["content_of", "documents_in", "in_words"]


def content_of(text: str | None, number: float | None, unit: str | None) -> Content | None:
    """Return the content that the arguments of a command name; None for none.

    Raises:
        typer.BadParameter: they contradict each other.
    """
    if text is not None and number is not None:
        raise typer.BadParameter("a sample says one thing: a text or a number, not both.")
    if unit is not None and number is None:
        raise typer.BadParameter("--unit is the unit of a --number, which is missing.")
    if text is not None:
        return Content(string_value=text)
    if number is None:
        return None
    if unit is None:
        return Content(number_value=number)
    return Content(measure_value=Measure(value=number, unit=unit))


def in_words(sample: PotentiallyEncryptedDataSample) -> str | None:
    """Return the content of a sample, in English where it has several languages; None for none.

    A long content is only named.
    """
    content = sample.content.get("en") or next(iter(sample.content.values()), None)
    return None if content is None else next(_all_in_words(content), None)


def documents_in(sample: PotentiallyEncryptedDataSample) -> list[str]:
    """Return the ids of the documents that are attached to a sample, each of them once."""
    ids = (content.document_id for content in sample.content.values())
    return list(dict.fromkeys(filter(None, ids)))


def _all_in_words(content: Content) -> Iterator[str]:
    if content.string_value is not None:
        yield content.string_value
    if content.measure_value is not None:
        yield _measure(content.measure_value)
    for value in (content.number_value, content.instant_value, content.fuzzy_date_value):
        if value is not None:
            yield _number(value)
    if content.boolean_value is not None:
        yield "yes" if content.boolean_value else "no"
    if content.ratio:
        yield " / ".join(map(_measure, content.ratio))
    if content.range:
        yield " … ".join(map(_measure, content.range))
    if content.compound_value:
        inner = (in_words(sample) or "…" for sample in content.compound_value)
        yield f"{len(content.compound_value)} samples: {', '.join(inner)}"
    if content.time_series is not None:
        yield f"time series of {len(content.time_series.samples)} rows"
    if content.document_id is not None:
        yield f"document {content.document_id}"
    if content.binary_value is not None:
        yield f"{len(content.binary_value)} bytes"
    if content.medication_value is not None:
        yield "medication"


def _measure(measure: Measure) -> str:
    number = "?" if measure.value is None else _number(measure.value)
    return " ".join(filter(None, (measure.comparator, number, measure.unit)))


def _number(number: float) -> str:
    """Return a number without the digits that only computers make of it."""
    # Formatted like a float, one from a backend may be too large.
    return str(number) if isinstance(number, int) else f"{number:.15g}"
