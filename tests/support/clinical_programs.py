"""A program that keeps clinical records while requests go wrong."""

from __future__ import annotations

from tests.support.aftermath import State
from tests.support.clinical_course import LATER, SAID, Course
from tests.support.fault_scenes import Program


class ClinicalProgram(Program):
    """Logs in with the token on the device that has the key, and keeps records of its person."""

    def __init__(self, first: Program, owner_id: str) -> None:
        """Set up a program.

        Args:
            first: the one that has registered the user.
            owner_id: id of the user's own record.
        """
        super().__init__(first.place, first.phone, first.folder)
        self.result = first.result
        self._course = Course(owner_id)

    async def run(self) -> list[str]:
        assert self.result is not None
        builder = (
            self.place.builder_for(self.phone, self.result.token)
            .with_crypto(self.place.crypto([]))
            .with_storage_directory(self.folder)
            .with_client_session(self.place.session)
            .with_timeout(self.timeout)
        )
        async with builder.build() as api:
            await api.init_user_crypto()
            await self._course.go_on(api)
        return []

    async def check(self, before: State, *, delegates: set[str]) -> None:
        place, master = self.place, self.place.sandbox.master_hcp
        assert self.result is not None
        reader = place.builder_for(master.login, master.password).with_client_session(place.session)
        async with reader.build() as hcp:
            await hcp.init_user_crypto(master.key_pair)
            await self._course.check(self.result.med_tech_api, hcp)
        stored = str(await place.sandbox.export())
        assert SAID not in stored
        assert LATER not in stored
        # Repeated, it sends nothing.
        place.forget()
        assert await self.run() == []
        writes = [line for line in place.requests if not line.startswith("GET")]
        assert not [line for line in writes if "contact" in line or "helement" in line]
