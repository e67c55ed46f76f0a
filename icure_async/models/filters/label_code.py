"""The rule that filters by label or code have in common."""

from icure_async.errors import ValidationError

__all__ = ["check_label_code"]


def check_label_code(
    label_type: str | None, label_code: str | None, code_type: str | None, code_code: str | None
) -> None:
    """Raise unless a filter has a label, a code or both, each with its terminology.

    Raises:
        ValidationError: it has not.
    """
    if label_type is None and label_code is not None:
        raise ValidationError("A filter by label_code needs the label_type, too.")
    if code_type is None and code_code is not None:
        raise ValidationError("A filter by code_code needs the code_type, too.")
    if label_type is None and code_type is None:
        raise ValidationError("A filter by label or code needs a label_type or a code_type.")
