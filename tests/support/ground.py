"""A sandbox and a folder for a program that is killed, and the checks afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Self

import attrs

from icure_async import KeyPair, MedTechApi, Patient
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from tests.support.aftermath import Inspector, State, state_of
from tests.support.builders import builder_for
from tests.support.invitations import address
from tests.support.newcomers import Newcomers

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]

# Coverage would trace the program too, and slow it down to no use.
_UNCOVERED = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")


class ProgramServer:
    """A process that forks for each run of the program."""

    module = "tests.support.killable_program"

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.module,
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
class Device:
    """The folder of a device, and the phone number of the person it belongs to."""

    folder: Path
    phone: str


class Ground(Newcomers):
    """A sandbox, users of it, and their devices."""

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        key_pairs: list[KeyPair],
        flavour: Flavour = "medtech",
    ) -> None:
        super().__init__(folder)
        self.flavour: Flavour = flavour
        self.sandbox = sandbox
        self.key_pairs = key_pairs
        self._inspector = Inspector(key_pairs, flavour)

    def new_device(self, phone: str) -> Device:
        return Device(self.new_folder(), phone)

    def job(self, device: Device, *key_pairs: KeyPair, **options: Any) -> Json:
        """Return the job of one program on a device, which remembers nothing but in the SDK."""
        return {
            "flavour": self.flavour,
            "url": self.sandbox.icure_url,
            "gateway": self.sandbox.msg_gw_url,
            "spec": self.sandbox.spec_id,
            "process_id": self.sandbox.patient_process_by_sms_id,
            "hcp": self.sandbox.master_hcp.data_owner_id,
            "phone": device.phone,
            "device": str(device.folder),
            "app": str(self.new_folder("app")),
            "keys": [[pair.public_key, pair.private_key] for pair in key_pairs],
            **options,
        }

    async def state(self, phone: str) -> State:
        return await state_of(self.sandbox, phone)

    async def check_keys(self, before: State, now: State, *devices: Device) -> set[str]:
        """See :meth:`Inspector.check_keys`."""
        folders = (device.folder for device in devices)
        return await self._inspector.check_keys(before, now, *folders)

    async def check_whole(
        self,
        before: State,
        now: State,
        *devices: Device,
        tokens: range,
        reads_itself: bool = True,
    ) -> set[str]:
        """See :meth:`Inspector.check_whole`."""
        folders = (device.folder for device in devices)
        hcp = self.sandbox.master_hcp.data_owner_id
        return await self._inspector.check_whole(
            before,
            now,
            *folders,
            delegates={hcp},
            tokens=tokens,
            reads_itself=reads_itself,
        )

    @property
    def hcp_id(self) -> str:
        """Id of the professional who invites."""
        return self.sandbox.master_hcp.data_owner_id

    async def professional(self) -> MedTechApi:
        """The API of the professional who invites."""
        master, sandbox = self.sandbox.master_hcp, self.sandbox
        builder = builder_for(sandbox.icure_url, master.login, master.password)
        api = await (
            builder.with_msg_gw_url(sandbox.msg_gw_url).with_msg_gw_spec_id(sandbox.spec_id).build()
        )
        await api.init_user_crypto(master.key_pair)
        return api

    async def new_patient(self, hcp: MedTechApi, phone: str) -> Patient:
        """A new patient of the professional's, who has this phone."""
        patient = Patient(first_name="Arya", addresses=[address(mobile=phone)], note="n")
        return await hcp.patient_api.create_or_modify_patient(patient)

    def invitation(self, patient_id: str) -> Json:
        """Return the job of a program that invites a patient."""
        master = self.sandbox.master_hcp
        return {
            "url": self.sandbox.icure_url,
            "gateway": self.sandbox.msg_gw_url,
            "spec": self.sandbox.spec_id,
            "process_id": self.sandbox.patient_process_by_sms_id,
            "flavour": self.flavour,
            "hcp_login": master.login,
            "hcp_password": master.password,
            "invites": patient_id,
            "device": str(self.new_folder()),
            "app": str(self.new_folder("app")),
            "keys": [],
        }

    async def user_of_token(self, login: str, token: str) -> str:
        """Return the id of the user who logs in with a token."""
        async with builder_for(self.sandbox.icure_url, login, token).build() as api:
            return (await api.user_api.get_logged_user()).id

    async def users_of(self, patient_id: str) -> list[str]:
        """Return the ids of the users of a patient."""
        users = (await self.sandbox.export())["entities"]["user"].values()
        return [user["id"] for user in users if user.get("patientId") == patient_id]
