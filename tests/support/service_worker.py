"""A worker of a service, in a process of its own, which gets stuck in a sign-in and is killed.

Its arguments are the folder that the workers share, the id of a sign-in, its code, the URLs of the
sandbox as JSON, and the beginning of the name of the item before whose writing it gets stuck. It
writes a line when it is.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from icure_async import AnonymousMedTechApiBuilder
from icure_async.services import ProcessStore, SessionStore
from icure_async.storage import FileKeyStorage, FileStorage

__all__ = ["Stores"]


class StuckStorage(FileStorage):
    """Never comes back from the write of one item."""

    def __init__(self, folder: Path, stuck_at: str | None) -> None:
        super().__init__(folder)
        self._stuck_at = stuck_at

    async def set_item(self, name: str, value: str) -> None:
        if self._stuck_at is not None and name.startswith(self._stuck_at):
            print("stuck", flush=True)
            await asyncio.Event().wait()
        await super().set_item(name, value)


class Stores:
    """The stores of one worker, in the folder that all share."""

    def __init__(self, folder: Path, *, stuck_at: str | None = None) -> None:
        storage = StuckStorage(folder / "state", stuck_at)
        self.processes, self.sessions = ProcessStore(storage), SessionStore(storage)
        self._storage, self.keys = storage, FileKeyStorage(folder / "keys")

    def builder(self, urls: dict[str, str]) -> AnonymousMedTechApiBuilder:
        """A builder for the API object that completes sign-ins."""
        return (
            AnonymousMedTechApiBuilder()
            .with_icure_base_url(urls["icure"])
            .with_msg_gw_url(urls["gateway"])
            .with_msg_gw_spec_id(urls["spec"])
            .with_auth_process_by_sms_id(urls["process"])
            .with_storage(self._storage)
            .with_key_storage(self.keys)
        )


async def main(folder: str, sign_in_id: str, code: str, urls: str, stuck_at: str) -> None:
    stores = Stores(Path(folder), stuck_at=stuck_at)
    async with stores.builder(json.loads(urls)).build() as api:
        await stores.processes.complete(sign_in_id, code, api, stores.sessions)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
