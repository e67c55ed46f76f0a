"""Files to attach to data samples."""

from __future__ import annotations

import attrs

__all__ = ["AttachedFile"]


@attrs.frozen(kw_only=True)
class AttachedFile:
    """The description of a file to attach.

    Attributes:
        name: its name.
        version: its version.
        external_uuid: its id in another system.
        language: of the content of the data sample that it becomes.
        in_clear: whether the bytes are not encrypted.
    """

    name: str | None = None
    version: str | None = None
    external_uuid: str | None = None
    language: str | None = None
    in_clear: bool = False
