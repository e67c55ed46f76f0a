"""Programs of an invitation in which one request goes wrong: the professional's, the patient's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from icure_async import KeyPair, MedTechApiBuilder, Patient
from icure_async.errors import ICureError
from tests.support.aftermath import State, check_asked
from tests.support.builders import anonymous_builder_for, builder_for
from tests.support.fault_scenes import Place, Program
from tests.support.invitations import NOTE, address, by_sms, token_in

if TYPE_CHECKING:
    from icure_async import AuthenticationResult

__all__ = ["InvitedProgram", "InvitingProgram", "new_patient"]


def professional(place: Place) -> MedTechApiBuilder:
    """The professional's builder; its requests are not those that go wrong."""
    master, sandbox = place.sandbox.master_hcp, place.sandbox
    builder = builder_for(sandbox.icure_url, master.login, master.password)
    return builder.with_msg_gw_url(sandbox.msg_gw_url).with_msg_gw_spec_id(sandbox.spec_id)


async def new_patient(place: Place, phone: str) -> Patient:
    """A new patient of the professional's, who has this phone."""
    async with professional(place).build() as hcp:
        await hcp.init_user_crypto(place.sandbox.master_hcp.key_pair)
        patient = Patient(first_name="Arya", addresses=[address(mobile=phone)], note=NOTE)
        return await hcp.patient_api.create_or_modify_patient(patient)


class InvitingProgram(Program):
    """A professional's program that invites a patient."""

    def __init__(self, place: Place, phone: str, patient: Patient) -> None:
        super().__init__(place, phone, place.new_folder())
        self.invited = patient

    async def run(self) -> list[str]:
        builder = (
            professional(self.place)
            .with_client_session(self.place.session)
            .with_timeout(self.timeout)
        )
        async with builder.build() as hcp:
            user = await hcp.user_api.create_and_invite_user(self.invited, by_sms(self.invited))
        assert user.patient_id == self.invited.id
        return []

    def heed(self, error: ICureError) -> None:
        """Call again: that is what all errors say."""

    async def check(self, before: State, *, delegates: set[str]) -> None:
        assert before.tokens == 0
        sandbox = self.place.sandbox
        users = (await sandbox.export())["entities"]["user"].values()
        (user,) = (user for user in users if user.get("patientId") == self.invited.id)
        token = token_in(await sandbox.wait_for_message(self.phone))
        async with builder_for(sandbox.icure_url, self.phone, token).build() as api:
            assert (await api.user_api.get_logged_user()).id == user["id"]


class InvitedProgram(Program):
    """An invited patient's program, which logs in for the first time and works."""

    def __init__(
        self, place: Place, phone: str, folder: Path, token: str, *key_pairs: KeyPair
    ) -> None:
        super().__init__(place, phone, folder, *key_pairs)
        self.opens_own_record = False
        self._token = token
        self._asked = False
        place.secrets.add(token)

    async def run(self) -> list[str]:
        if self.result is None:
            self.result = await self._log_in()
            requests = self.result.access_requests
        elif not self._asked:
            api = self.result.med_tech_api.data_owner_api
            requests = await api.ask_access_to_own_data()
        else:
            requests = []
        self._asked = all(request.delivered for request in requests)
        await self._work(self.result.med_tech_api)
        return [str(request.problem) for request in requests if not request.delivered]

    async def _log_in(self) -> AuthenticationResult:
        builder = (
            anonymous_builder_for(self.place.sandbox)
            .with_crypto(self._crypto)
            .with_storage_directory(self.folder)
            .with_client_session(self.place.session)
            .with_timeout(self.timeout)
        )
        async with builder.build() as anonymous:
            api = anonymous.authentication_api
            return await api.authenticate_and_ask_access_to_its_existing_data(
                self.phone, self._token
            )

    async def check(self, before: State, *, delegates: set[str]) -> None:
        now = await self.place.state(self.phone)
        await self.place.inspector.check_whole(
            before, now, self.folder, delegates=delegates, tokens=range(1, 2), reads_itself=False
        )
        await check_asked(self.place.sandbox, now.owner["id"], *delegates)
        await self.read_after_a_restart()
