"""Checks of data samples before they are saved: of their contents, and of those within these.

No message holds a value: they name members, and languages.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from icure_async.errors import ValidationError
from icure_async.models.base import has_id, has_rev
from icure_async.models.data_sample import Content, DataSample
from icure_async.models.fields import members_of
from icure_async.models.validation import (
    UnusualValueError,
    check_members,
    require_class,
    validate_id,
)

__all__ = ["kinds_of", "refuse_cycles_of_parents", "validate_data_sample_for_saving"]

_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_DEEPEST: Final = 20
_PARENT: Final = "parent"


def validate_data_sample_for_saving(
    sample: DataSample, *, creating: bool, stored: DataSample | None = None
) -> None:
    """Raise unless the data sample can be sent to the backend.

    Args:
        sample: the data sample about to be saved.
        creating: whether it is created, as opposed to modified.
        stored: the data sample as it is stored, where that is known. A content or a link that it
            has, too, may stay, although it could not be set anew.

    Raises:
        UnusualValueError: a content is of two kinds, its language is none, or a link holds no id.
            Where the data sample is modified, it may be the stored one.
        ValidationError: a member has the wrong type or a value that is not allowed; it names the
            member.
    """
    require_class(sample, (DataSample,), "data sample")
    _check_ids(sample, "")
    if has_rev(sample):
        raise ValidationError(
            "A data sample has no rev of its own: leave it out. It is its batch that has one."
        )
    if not creating and not (sample.id and sample.batch_id):
        raise ValidationError(
            "A data sample that is modified needs its id and its batch_id: pass the data sample as "
            "it was read, with changes."
        )
    if sample.end_of_life is not None:
        raise ValidationError(
            "A data sample with an end_of_life counts as deleted: call delete_data_sample() to "
            "delete it, and create a new one to bring it back."
        )
    # First of all: the others follow whatever lies within, without end if there is none.
    _check_nesting(sample, "", ())
    check_members(sample, creating=creating)
    _check_contents(sample, "", stored)


def refuse_cycles_of_parents(samples: Iterable[DataSample]) -> None:
    """Raise if data samples that are saved together are, by their links, parents of each other.

    Raises:
        ValidationError: one is a parent of its own parent, or of itself.
    """
    parents = {
        sample.id: set((sample.qualified_links or {}).get(_PARENT, {}).values())
        for sample in samples
        if has_id(sample)
    }
    # Those that have no parent among the others can't be part of a cycle, and so on.
    while True:
        free = {name for name, above in parents.items() if above.isdisjoint(parents)}
        if not free:
            break
        parents = {name: above for name, above in parents.items() if name not in free}
    if parents:
        raise ValidationError(
            "Data samples are parents of each other by their qualified_links: take out one of the "
            f"links of {min(parents)}."
        )


def kinds_of(content: Content) -> list[str]:
    """Return the names of the members that a content has."""
    return [
        member.name
        for member in members_of(cast("Any", Content))
        if getattr(content, member.name) not in (None, [])
    ]


def _check_ids(sample: DataSample, path: str) -> None:
    where = f" of {path}" if path else ""
    if has_id(sample):
        validate_id(sample.id, f"data sample id{where}")
    if sample.batch_id is not None:
        validate_id(sample.batch_id, f"batch_id{where}")


def _check_nesting(sample: DataSample, path: str, above: tuple[DataSample, ...]) -> None:
    if len(above) > _DEEPEST:
        raise ValidationError(
            f"More than {_DEEPEST} data samples lie one within the other: link some of them by "
            "their qualified_links instead."
        )
    for outer in above:
        if outer is sample or (has_id(sample) and outer.id == sample.id):
            raise ValidationError(f"{path} is a data sample that lies within itself.")
    for step, inner in _inner_samples(sample):
        _check_nesting(inner, _join(path, step), (*above, sample))


def _inner_samples(sample: DataSample) -> Iterator[tuple[str, DataSample]]:
    """Yield the data samples in the contents of one, whose members may be anything yet."""
    contents: object = sample.content
    if not isinstance(contents, Mapping):
        return
    for language, content in cast("Mapping[object, object]", contents).items():
        inner: object = getattr(content, "compound_value", None)
        if isinstance(content, Content) and isinstance(inner, list):
            for index, item in enumerate(cast("list[object]", inner)):
                if isinstance(item, DataSample):
                    yield f"{_content_at(language)}.compound_value[{index}]", item


def _check_contents(sample: DataSample, path: str, stored: DataSample | None) -> None:
    _check_links(sample, path, stored)
    known = {} if stored is None else stored.content
    for language, content in sample.content.items():
        if known.get(language) != content:
            _check_language(language, _join(path, "content"))
            _check_content(content, _join(path, _content_at(language)))


def _check_links(sample: DataSample, path: str, stored: DataSample | None) -> None:
    elements = () if stored is None else stored.healthcare_element_ids
    for own_id in sample.healthcare_element_ids:
        if own_id not in elements:
            _check_linked(own_id, _join(path, "healthcare_element_ids"))
    samples = () if stored is None else _linked(stored)
    for linked in _linked(sample):
        if linked not in samples:
            _check_linked(linked, _join(path, "qualified_links"))
        if has_id(sample) and linked == sample.id:
            raise ValidationError(
                f"{_join(path, 'qualified_links')} links the data sample to itself."
            )


def _linked(sample: DataSample) -> list[str]:
    """Return the ids of the data samples that one is linked to."""
    return [one for links in (sample.qualified_links or {}).values() for one in links.values()]


def _check_linked(linked: str, path: str) -> None:
    try:
        validate_id(linked, path)
    except ValidationError as error:
        raise UnusualValueError(str(error)) from None


def _check_language(language: str, path: str) -> None:
    if not _LANGUAGE.fullmatch(language):
        raise UnusualValueError(
            f"Every key of {path} must be a language tag, such as 'en' or 'fr-BE'."
        )


def _check_content(content: Content, path: str) -> None:
    kinds = kinds_of(content)
    if len(kinds) > 1:
        raise UnusualValueError(
            f"{path} is of two kinds, {' and '.join(kinds[:2])}: a content says one thing. Make a "
            "data sample of each, within a compound_value if they belong together."
        )
    if not kinds and not content.unknown_fields:
        raise UnusualValueError(
            f"{path} has nothing in it: set one of its members, such as string_value, or leave it "
            "out."
        )
    if content.document_id is not None:
        validate_id(content.document_id, f"{path}.document_id")
    for index, inner in enumerate(content.compound_value):
        inner_path = f"{path}.compound_value[{index}]"
        _check_ids(inner, inner_path)
        _check_contents(inner, inner_path, None)


def _content_at(language: object) -> str:
    # A key that is no language may be anything, and private.
    is_language = isinstance(language, str) and _LANGUAGE.fullmatch(language)
    return f"content[{language if is_language else '*'}]"


def _join(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step
