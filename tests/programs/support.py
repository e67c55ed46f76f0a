"""Where the program lives and dies, and what must be true of it afterwards."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any, Self

import attrs

from icure_async.models.key_pair import KeyPair, fingerprint_of
from icure_async.sandbox import Sandbox
from icure_async.sandbox.auth import users_named
from icure_async.storage import FileStorage, jwk

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]

# Coverage would trace the program too, and slow it down to no use.
_UNCOVERED = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")


class ProgramServer:
    """A process that forks for each run of the program."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.programs.program",
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name not in _UNCOVERED},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def run(self, job: Json) -> Json:
        """Run the program, and return how that ended."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        outcome: Json = json.loads(await self._process.stdout.readline())
        return outcome

    async def finish(self, job: Json) -> Json:
        """Run the program, which must come to its end."""
        outcome = await self.run(job)
        assert not outcome["killed"]
        assert "error" not in outcome, outcome["error"]
        return outcome


@attrs.frozen
class State:
    """What the backend and the devices know of a user at one moment.

    Attributes:
        owner: the data owner as stored; empty before there is one.
        tokens: how many long-lived ones the user has.
    """

    owner: Json
    tokens: int

    @property
    def published(self) -> set[str]:
        keys = {self.owner.get("publicKey"), *self.owner.get("aesExchangeKeys", {})}
        return {key for key in keys if key}


@attrs.frozen
class Device:
    """The folders of one program, and whose they are."""

    folder: Path
    phone: str

    async def key_texts(self, owner_id: str) -> dict[str, str]:
        """Return the items with key pairs on the device, by fingerprint."""
        keys = FileStorage(self.folder / "keys")
        prefix = f"{owner_id}."
        return {
            name.removeprefix(prefix): str(await keys.get_item(name))
            for name in await keys.list_items(prefix)
        }

    async def unfinished(self) -> list[str]:
        """Return what the SDK has still to remember."""
        return list(await FileStorage(self.folder / "state").list_items())


class Ground:
    """A sandbox, users of it, and their devices."""

    def __init__(self, sandbox: Sandbox, folder: Path, key_pairs: list[KeyPair]) -> None:
        self.sandbox = sandbox
        self.key_pairs = key_pairs
        self._folder = folder
        self._numbers = itertools.count(470_000_000)
        self._folders = itertools.count()
        self._texts = {pair.fingerprint: jwk.validate(pair)[0] for pair in key_pairs}

    def new_phone(self) -> str:
        return f"+32{next(self._numbers)}"

    def new_device(self, phone: str) -> Device:
        return Device(self._folder / f"device-{next(self._folders)}", phone)

    def job(self, device: Device, *key_pairs: KeyPair, **options: Any) -> Json:
        """Return the job of one program on a device, which remembers nothing but in the SDK."""
        return {
            "url": self.sandbox.icure_url,
            "gateway": self.sandbox.msg_gw_url,
            "spec": self.sandbox.spec_id,
            "process_id": self.sandbox.patient_process_by_sms_id,
            "hcp": self.sandbox.master_hcp.data_owner_id,
            "phone": device.phone,
            "device": str(device.folder),
            "app": str(self._folder / f"app-{next(self._folders)}"),
            "keys": [[pair.public_key, pair.private_key] for pair in key_pairs],
            **options,
        }

    async def state(self, phone: str) -> State:
        store = self.sandbox._open_store
        users = await store.run(lambda tx: users_named(tx, phone))
        if not users:
            return State({}, 0)
        (user,) = users
        tokens = sum(
            token["validity"] > 600 for token in user.get("authenticationTokens", {}).values()
        )
        return State(await self.sandbox.stored("patient", user["patientId"]) or {}, tokens)

    async def check_keys(self, before: State, now: State, *devices: Device) -> set[str]:
        """Return the fingerprints of the key pairs on the devices, each of them whole."""
        found: set[str] = set()
        for device in devices if now.owner else ():
            texts = await device.key_texts(now.owner["id"])
            assert texts == {name: self._texts[name] for name in texts}, "a key file is not whole"
            assert len(texts) <= 1, f"{len(texts)} key pairs are on one device"
            found |= set(texts)
        new = {fingerprint_of(key) for key in now.published - before.published}
        assert len(new) <= len(devices), f"{len(new)} key pairs were published"
        assert new <= found, "a key pair was published whose private half is not on disk"
        assert before.published <= now.published, "a public key is gone"
        return found

    async def check_whole(
        self, before: State, now: State, *devices: Device, tokens: range
    ) -> set[str]:
        """Check the end of one login or more, where everything is done.

        Args:
            before: what was known before the logins.
            now: what is known after them.
            devices: those of the logins, each with its own key pair.
            tokens: how many long-lived tokens may have been made.

        Returns:
            the fingerprints of the key pairs on the devices.
        """
        found = await self.check_keys(before, now, *devices)
        assert len(found) == len(devices), "a device has no key pair of its own"
        assert found <= {fingerprint_of(key) for key in now.published}
        expected = {now.owner["id"], self.sandbox.master_hcp.data_owner_id}
        for member in ("delegations", "encryptionKeys"):
            held_by = {name for name, entries in now.owner[member].items() if entries}
            assert held_by == expected, f"{member} are for {held_by}"
        made = now.tokens - before.tokens
        assert made in tokens, f"{made} tokens were made"
        for device in devices:
            assert await device.unfinished() == []
        return found
