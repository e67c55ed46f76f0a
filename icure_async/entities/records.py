"""Records of one kind, read from the backend and decrypted."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sized
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar, cast

from anyio.lowlevel import checkpoint

from icure_async.entities.encrypted_fields import exposed_fields
from icure_async.entities.pages import pages_of
from icure_async.entities.progress import report
from icure_async.entities.record_ids import IDS_PER_REQUEST, id_list, in_order, valid_id
from icure_async.entities.sealing import EntityCrypto
from icure_async.entities.unchanged import (
    confirm_content,
    is_in_clear,
)
from icure_async.errors import (
    DecryptionError,
    InvalidResponseError,
)
from icure_async.foreign_text import printable
from icure_async.mistakes import checked_progress
from icure_async.models.base import EntityModel
from icure_async.models.batch import BatchProgress
from icure_async.models.filters import refuse_encrypted
from icure_async.models.wire import from_wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.metadata import EncryptionMetadata
    from icure_async.entities.progress import Progress
    from icure_async.entities.sealing import OpenedEntity
    from icure_async.models.filters import Filter
    from icure_async.rest.entities import EntityResource

__all__ = ["Among", "FillFilter", "OwnDocument", "Records"]

_log: Final = logging.getLogger(__name__)

Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)
Taken = TypeVar("Taken")


Among: TypeAlias = "Callable[[list[dict[str, Any]]], Awaitable[list[dict[str, Any]]]]"
"""Returns some of the documents of a page."""

FillFilter: TypeAlias = "Callable[[Filter], Awaitable[Filter]]"
"""Returns a filter with the secret ids of the patients that it names."""


class OwnDocument(Protocol):
    """Knows the current data owner and its parents."""

    async def own_id(self) -> str:
        """Return the id of the current data owner."""
        ...

    async def hierarchy(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the current data owner and its parents by id."""
        ...

    def is_own(self, route: str, entity_id: str, /) -> bool:
        """Return whether this is the current data owner, as far as that has been looked up."""
        ...

    def learn(self, route: str, document: Mapping[str, Any], /) -> None:
        """Take note of a document of a kind as the backend just gave it, which may be our own."""
        ...


class Records(Generic[Clear, Sealed]):
    """Reads records of one kind."""

    def __init__(
        self,
        kind: EntityKind[Clear, Sealed],
        resource: EntityResource,
        *,
        crypto: Crypto,
        metadata: EncryptionMetadata,
        own: OwnDocument,
        fill: FillFilter | None = None,
    ) -> None:
        self.kind = kind
        self.resource = resource
        self._entities = EntityCrypto(crypto, metadata)
        self.metadata = metadata
        self._own = own
        self._fill = fill

    async def get(self, record_id: str) -> Clear:
        """Return a record, decrypted.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such record.
            DecryptionError: no key opens it.
        """
        return self.readable(await self.get_and_try_decrypt(record_id))

    async def get_and_try_decrypt(self, record_id: str) -> Clear | Sealed:
        """Return a record, a sealed one where no key opens it."""
        return await self._try_decrypt(await self.read(record_id))

    async def get_many(self, record_ids: Sequence[str]) -> list[Clear]:
        """Return several records, decrypted, in the order of the ids.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist, or are not accessible; the message names them.
            DecryptionError: some can't be decrypted; ``entity_ids`` names them.
        """
        found = await self.get_many_and_try_decrypt(record_ids)
        closed = [record.id for record in found if isinstance(record, self.kind.sealed)]
        if closed:
            raise self._unreadable(*closed)
        return cast("list[Clear]", found)

    async def get_many_and_try_decrypt(self, record_ids: Sequence[str]) -> list[Clear | Sealed]:
        """Return several records like :meth:`get_many`, sealed ones where no key opens them."""
        noun = self.kind.noun
        ids = [valid_id(record_id, noun) for record_id in id_list(record_ids, noun)]
        found: list[Clear | Sealed] = []
        for start in range(0, len(ids), IDS_PER_REQUEST):
            found += await self._read_many(ids[start : start + IDS_PER_REQUEST])
        return found

    def iterate(
        self,
        record_ids: Iterable[str],
        page_size: int,
        take: Callable[[Clear | Sealed], Taken],
        progress: Progress | None = None,
    ) -> AsyncGenerator[Taken, None]:
        """Iterate over records by their ids, of which a page at a time is read and in memory.

        Args:
            record_ids: of the records.
            page_size: how many to read at a time.
            take: makes of each what is given out.
            progress: called when all of a page have been given out.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some of a page do not exist, or are not accessible.
        """
        ids = id_list(record_ids, self.kind.noun)
        return self._pages(ids, page_size, take, checked_progress(progress, BatchProgress))

    async def _pages(
        self,
        record_ids: Iterable[str],
        page_size: int,
        take: Callable[[Clear | Sealed], Taken],
        progress: Progress | None,
    ) -> AsyncGenerator[Taken, None]:
        ids, done = iter(record_ids), 0
        total = len(record_ids) if isinstance(record_ids, Sized) else None
        noun = self.kind.noun
        while page := [valid_id(record_id, noun) for record_id in islice(ids, page_size)]:
            for record in await self._read_many(page):
                yield take(record)
                await checkpoint()
            done += len(page)
            await report(progress, BatchProgress(done=done, total=total))

    def find(
        self,
        wanted: Filter,
        page_size: int,
        *,
        where: Callable[[Mapping[str, Any]], bool] = lambda _: True,
        among: Among | None = None,
    ) -> AsyncGenerator[Clear | Sealed, None]:
        """Iterate over the pages of a filter; each record comes once.

        Args:
            wanted: what to look for.
            page_size: how many to ask the backend for at a time.
            where: says of a document whether it is of interest.
            among: returns those documents of a page that are, where that takes more.

        Raises:
            ValidationError: the filter searches encrypted members.
        """
        refuse_encrypted(wanted, self.kind.encrypted)
        return self._found(wanted, page_size, where, among)

    async def match(self, wanted: Filter) -> list[str]:
        """Return the ids of all records that a filter finds.

        Raises:
            ValidationError: the filter searches encrypted members.
        """
        refuse_encrypted(wanted, self.kind.encrypted)
        return await self.resource.match(await self._on_wire(wanted))

    async def read(self, record_id: str) -> dict[str, Any]:
        """Return the document of a record as it is stored."""
        document = await self.resource.get(valid_id(record_id, self.kind.noun))
        await confirm_content(document, self.resource.get, self.kind.noun)
        self._own.learn(self.kind.route, document)
        return document

    async def received(self, documents: Sequence[Mapping[str, Any]]) -> list[Clear | Sealed]:
        """Return the records of documents that came without being asked for by their ids."""
        await self._confirm_content(documents)
        return await self.open_many(documents)

    async def open_many(self, documents: Sequence[Mapping[str, Any]]) -> list[Clear | Sealed]:
        """Return the records of documents, sealed ones where no key opens them."""
        await self._know_own()
        return await self._entities.open_each(documents, self._model)

    def readable(self, record: Clear | Sealed) -> Clear:
        """Return a record that could be decrypted.

        Raises:
            DecryptionError: it could not.
        """
        if isinstance(record, self.kind.sealed):
            raise self._unreadable(record.id)
        return cast("Clear", record)

    async def _found(
        self,
        wanted: Filter,
        page_size: int,
        where: Callable[[Mapping[str, Any]], bool],
        among: Among | None,
    ) -> AsyncGenerator[Clear | Sealed, None]:
        on_wire = await self._on_wire(wanted)
        pages = pages_of(self.resource, on_wire, page_size, noun=self.kind.noun)
        async with contextlib.aclosing(pages):
            async for page in pages:
                documents = [document for document in page if where(document)]
                if among is not None:
                    documents = await among(documents)
                for record in await self.received(documents):
                    yield record
                    await checkpoint()

    async def filled(self, wanted: Filter) -> Filter:
        """Return a filter with what only reading tells: the secret ids of its patients."""
        return wanted if self._fill is None else await self._fill(wanted)

    async def _on_wire(self, wanted: Filter) -> dict[str, Any]:
        wanted = await self.filled(wanted)
        # Some users are no data owners.
        is_ours = None in wanted.data_owners()
        return wanted.to_wire(await self._own.own_id() if is_ours else "")

    async def _read_many(self, ids: Sequence[str]) -> list[Clear | Sealed]:
        await self._know_own()
        return await self._entities.open_each(await self._documents(ids), self._model)

    async def _documents(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        found = await self.resource.get_many(list(dict.fromkeys(ids)))
        await self._confirm_content(found)
        return in_order(found, ids, self.kind.noun)

    async def _confirm_content(self, documents: Sequence[Mapping[str, Any]]) -> None:
        for document in filter(is_in_clear, documents):
            await confirm_content(document, self.resource.get, self.kind.noun)

    async def _try_decrypt(self, document: Mapping[str, Any]) -> Clear | Sealed:
        await self._know_own()
        return self._model(document, await self._entities.open(document))

    async def _know_own(self) -> None:
        """Look up the current data owner where its own record is another case."""
        if self.kind.also_encrypted:
            await self._own.own_id()

    def _model(self, document: Mapping[str, Any], opened: OpenedEntity | None) -> Clear | Sealed:
        """Return a record from what the backend sent, and what could be opened of it.

        The encrypted part comes from another data owner. If a record may not hold it, it is as
        unreadable as if it could not be decrypted, and must not block the others.
        """
        if opened is not None:
            try:
                record = from_wire(self.kind.clear, opened.document)
            except InvalidResponseError:
                _log.warning(
                    "The content of %s %s is malformed", self.kind.noun, printable(document["id"])
                )
            else:
                self._note_exposed(record, document)
                return record
        return from_wire(self.kind.sealed, document)

    def _note_exposed(self, record: Clear, document: Mapping[str, Any]) -> None:
        """Take note of members that are to be encrypted, and lie on the backend in clear."""
        exposed = exposed_fields(self.kind, document)
        # The backend needs the user's own record in clear.
        if exposed and not self._own.is_own(self.kind.route, str(document["id"])):
            record.exposed_fields = exposed
            _log.warning(
                "Fields of %s %s that are to be encrypted are in clear on the backend: %s. Saving "
                "it encrypts them",
                self.kind.noun,
                printable(document["id"]),
                ", ".join(exposed),
            )

    def _unreadable(self, *record_ids: str) -> DecryptionError:
        return DecryptionError(
            f"{self._name(', '.join(record_ids))} can't be decrypted: no key on this device opens "
            "it, or its content is malformed. The stored record is left as it is. Call "
            "init_user_crypto() with the key pair that can read it. "
            f"{self.kind.unreadable_advice}",
            entity_type=self.kind.noun,
            entity_ids=record_ids,
        )

    def _name(self, record_id: str) -> str:
        return f"{self.kind.noun.capitalize()} {record_id}"
