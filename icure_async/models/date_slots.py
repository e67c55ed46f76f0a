"""Slots of models that turn dates into the integers that iCure stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.models.fields import slot_behind

if TYPE_CHECKING:
    from collections.abc import Callable

    import attrs

__all__ = ["convert_dates"]


def convert_dates(cls: type) -> None:
    """Have the members of a model that hold dates accept those of Python.

    They are converted at once, so that a member is always the integer. The slot itself stays
    there under another name: reading from JSON sets that, and costs no more than before.
    """
    own: dict[str, Any] = dict(vars(cls))
    attributes: tuple[attrs.Attribute[Any], ...] = own.get("__attrs_attrs__", ())
    for attribute in attributes:
        form = attribute.metadata.get("date_form")
        # Those of a base are there already; a class that attrs replaces by one with slots has none.
        if form is None or attribute.name not in own:
            continue
        slot: Any = own[attribute.name]
        setattr(cls, slot_behind(attribute.name), slot)
        setattr(cls, attribute.name, _converting(slot, form.converter()))


def _converting(slot: Any, convert: Callable[[Any], Any]) -> property:
    store = slot.__set__

    def set_converted(model: object, value: Any) -> None:
        if value is not None and value.__class__ is not int:
            value = convert(value)
        store(model, value)

    # A slot is asked in C, which takes half as long as a function here.
    return property(slot.__get__, set_converted, slot.__delete__)
