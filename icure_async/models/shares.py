"""Results of calls that share records, and a data owner to share with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import attrs

from icure_async.errors import BatchError
from icure_async.models.base import EntityModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icure_async.errors import ICureError
    from icure_async.models.public_key import PublicKey

__all__ = [
    "AccessToAllData",
    "DataAccess",
    "DataOwner",
    "DataOwnerType",
    "ShareItem",
    "ShareResult",
    "ShareStatus",
]

RecordT = TypeVar("RecordT", bound=EntityModel)

DataOwnerType = Literal["hcparty", "patient", "device"]
"""A healthcare professional, a patient or a medical device."""

ShareStatus = Literal["shared", "shared_before", "not_shared"]
"""The outcome of sharing one record with one delegate.

* ``"shared"``: the delegate has access now.
* ``"shared_before"``: it had access, and nothing was sent.
* ``"not_shared"``: an error says why.
"""


@attrs.frozen(kw_only=True)
class DataOwner:
    """A healthcare professional, a patient or a device, as anybody who may read it sees it.

    Attributes:
        id: id of the data owner.
        type: its type.
        name: the whole name in clear: that of an organisation or a device, or of a person where the
            backend has it in one piece.
        first_name: given name, where it is in clear.
        last_name: family name, where it is in clear.
        parent_id: id of the organisation that a healthcare professional belongs to.
        deleted: whether the record was deleted.
        public_keys: those that the backend names for it, the first key pair it ever had first.
            Without one, nothing can be shared with it yet.

    Example:
        >>> owner = await api.data_owner_api.get_data_owner(colleague_id)
        >>> owner.type, len(owner.public_keys)
        ('hcparty', 1)
    """

    id: str
    type: DataOwnerType
    name: str | None = attrs.field(default=None, repr=False)
    first_name: str | None = attrs.field(default=None, repr=False)
    last_name: str | None = attrs.field(default=None, repr=False)
    parent_id: str | None = None
    deleted: bool = False
    public_keys: tuple[PublicKey, ...] = ()


@attrs.frozen(kw_only=True)
class ShareItem:
    """The outcome for one record and one delegate.

    Attributes:
        index: place of the record among those that were passed, counted from 0.
        id: id of the record; None where one without an id was refused.
        delegate_id: id of the data owner to share with.
        status: the outcome.
        error: the reason why the record was not shared, or is not known to be; None where it was.
    """

    index: int
    id: str | None
    delegate_id: str
    status: ShareStatus
    error: ICureError | None = None


@attrs.frozen
class ShareResult(Generic[RecordT]):
    """The outcomes for all records and delegates, record by record in their order.

    Iterating over it gives the items. Call :meth:`raise_for_failures` unless you look at each.

    Attributes:
        items: one for each record and delegate.
        records: the records in the order in which they were passed, as they are stored now; one
            that nothing was sent for is the object that was passed.

    Example:
        >>> result = await api.patient_api.share_many([patient], [colleague_id])
        >>> [item.status for item in result]
        ['shared']
    """

    items: tuple[ShareItem, ...]
    records: tuple[RecordT, ...] = attrs.field(repr=False)

    @property
    def shared(self) -> list[ShareItem]:
        """The items whose delegate has got access now."""
        return self._with("shared")

    @property
    def shared_before(self) -> list[ShareItem]:
        """The items whose delegate had access before."""
        return self._with("shared_before")

    @property
    def failed(self) -> list[ShareItem]:
        """The items that have an error."""
        return self._with("not_shared")

    def raise_for_failures(self) -> None:
        """Raise if a record was not shared with a delegate.

        Raises:
            BatchError: there are such; its ``errors`` are theirs, in their order.
        """
        failed = self.failed
        if not failed:
            return
        first = failed[0]
        named = f"record {first.index}" if first.id is None else first.id
        raise BatchError(
            f"{len(failed)} of {len(self.items)} shares were not made. The first, of {named} with "
            f"{first.delegate_id}: {first.error} Look at `failed` for each of them, and repeat the "
            "call with `records` once the reasons are gone.",
            errors=[item.error for item in failed if item.error is not None],
        )

    def _with(self, status: ShareStatus) -> list[ShareItem]:
        return [item for item in self.items if item.status == status]

    def __iter__(self) -> Iterator[ShareItem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@attrs.frozen(kw_only=True)
class DataAccess:
    """The access of a delegate to one kind of medical data of a patient.

    Attributes:
        shared: how many were shared just now.
        shared_before: how many the delegate had access to before.
        not_shared: ids of those it has no access to.
        error: the reason why some were not shared, or could not be looked for; None where all are.
    """

    shared: int = 0
    shared_before: int = 0
    not_shared: tuple[str, ...] = ()
    error: ICureError | None = None

    @property
    def success(self) -> bool:
        """True if the delegate has access to all of them."""
        return self.error is None


@attrs.frozen(kw_only=True)
class AccessToAllData:
    """The access of a delegate to a patient and its medical data.

    Attributes:
        patient_id: id of the patient.
        delegate_id: id of the data owner who got access.
        patient: access to the patient itself.
        healthcare_elements: access to the healthcare elements (conditions).
        data_samples: access to the data samples, by the contacts that hold them.
        documents: access to the encrypted documents among the contents of data samples.
        forms: access to the forms.
        invoices: access to the invoices.

    Example:
        >>> access = await api.patient_api.give_access_to_all_data_of(patient.id, colleague_id)
        >>> access.raise_for_failures()
    """

    patient_id: str
    delegate_id: str
    patient: DataAccess
    healthcare_elements: DataAccess
    data_samples: DataAccess
    documents: DataAccess
    forms: DataAccess
    invoices: DataAccess

    @property
    def success(self) -> bool:
        """True if the delegate has access to everything that was found."""
        return not self._errors

    def raise_for_failures(self) -> None:
        """Raise if the delegate has no access to something.

        Raises:
            BatchError: that is so; its ``errors`` are those of the kinds of data.
        """
        errors = self._errors
        if errors:
            raise BatchError(
                f"Not all data of patient {self.patient_id} is shared with {self.delegate_id}: "
                + " ".join(map(str, errors)),
                errors=errors,
            )

    @property
    def _errors(self) -> list[ICureError]:
        kinds = (
            self.patient,
            self.healthcare_elements,
            self.data_samples,
            self.documents,
            self.forms,
            self.invoices,
        )
        return [kind.error for kind in kinds if kind.error is not None]
