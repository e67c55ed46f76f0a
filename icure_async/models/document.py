"""Documents: the descriptions of files that are attached to data samples."""

from typing import Final, TypeAlias

import attrs

from icure_async.models.base import EntityModel
from icure_async.models.codes import CodingReference
from icure_async.models.dates import MOMENT, given_moment
from icure_async.models.json_values import Kept, hidden
from icure_async.models.system_meta_data import SystemMetaDataEncrypted

__all__ = ["BYTES_IN_CLEAR", "Document", "EncryptedDocument", "PotentiallyEncryptedDocument"]

BYTES_IN_CLEAR: Final = "in clear"
"""The encrypted hash of a document with a key whose bytes are not encrypted.

A member of its own would say it better, but today's clients refuse encrypted content with members
that they do not know.
"""


def _text_or_kept(value: object, _: object = None) -> str:
    """Read a hash; in its place may be a mark, or the empty object of the 2023 reference."""
    if isinstance(value, str) and value != BYTES_IN_CLEAR:
        return value
    raise Kept(None)


# Nobody makes one, so that a constructor and comparisons would only take time to generate.
@attrs.define(kw_only=True, repr=False, init=False, eq=False)
class _DocumentMembers(EntityModel):
    """The members that readable and unreadable documents have in common."""

    created: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    modified: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    author: str | None = None
    responsible: str | None = None
    labels: list[CodingReference] = attrs.field(
        factory=list[CodingReference], metadata={"wire": "tags"}
    )
    codes: list[CodingReference] = attrs.field(factory=list[CodingReference])
    end_of_life: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    deletion_date: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    name: str | None = None
    version: str | None = None
    external_uuid: str | None = None
    attachment_id: str | None = None
    main_uti: str | None = None
    other_utis: list[str] = attrs.field(factory=list[str])
    size: int | None = None
    # Encrypted under the name that today's clients know: they refuse to read one that is new.
    sha256: str | None = attrs.field(
        default=None, metadata={"wire": "hash", "reads": _text_or_kept}
    )
    system_meta_data: SystemMetaDataEncrypted | None = attrs.field(
        default=None, metadata={"flat": True}
    )


@attrs.define(kw_only=True, repr=False)
class Document(_DocumentMembers):
    """The description of a file that is attached to a data sample.

    ``size`` and ``sha256`` are encrypted, and so are the bytes of the file, which are stored next
    to the document. Its name is in clear on the backend. A file that the 2023 MedTech SDK attached
    is in clear altogether.

    Attributes:
        id: id of the document, which is the ``document_id`` in the content of the data sample.
        rev: revision.
        created: when it was created, in epoch milliseconds.
        modified: when it was last modified, in epoch milliseconds.
        author: id of the user who created it.
        responsible: id of the data owner who is responsible for it.
        labels: labels (``tags`` on the wire).
        codes: codes of terminologies.
        end_of_life: when the record was closed, in epoch milliseconds.
        deletion_date: when the record was deleted, in epoch milliseconds.
        name: name of the file, in clear on the backend.
        version: version of the file.
        external_uuid: id of the file in another system.
        attachment_id: id of the bytes; None until they were sent.
        main_uti: kind of the file, as a uniform type identifier such as ``com.adobe.pdf``.
        other_utis: other such identifiers.
        size: number of bytes of the file.
        sha256: SHA-256 of the file, in hex (``hash`` on the wire); None where it was attached by
            another SDK, or in clear.
        system_meta_data: keys and delegations, kept up by the SDK.
        unknown_fields: members that this SDK does not know, written back as they are; None if the
            document was not read from a backend.

    Example:
        >>> Document(name="scan.pdf", main_uti="com.adobe.pdf").to_dict()["mainUti"]
        'com.adobe.pdf'
    """


@attrs.define(kw_only=True, repr=False)
class EncryptedDocument(_DocumentMembers):
    """A document that no key on this device opens: ``size`` and ``sha256`` are unset.

    Example:
        >>> EncryptedDocument().sha256 is None
        True
    """

    # Anybody may have written those of a document that can't be read.
    size: int | None = attrs.field(default=None, metadata={"reads": hidden})
    sha256: str | None = attrs.field(default=None, metadata={"wire": "hash", "reads": hidden})


PotentiallyEncryptedDocument: TypeAlias = Document | EncryptedDocument
"""A document, readable or not."""
