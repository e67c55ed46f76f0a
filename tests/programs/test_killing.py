"""A program is killed at every moment of a flow, and started again.

A run tries some of the moments, other ones the next day; ``ICURE_KILLING=all`` tries all of them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import ClassVar, Final

import attrs
import pytest

from icure_async import KeyPair, MedTechApi
from icure_async.models.flavour import Flavour
from icure_async.models.key_pair import fingerprint_of
from tests.support.aftermath import State, check_asked, check_notified, check_notified_today
from tests.support.clinical_course import Course
from tests.support.counts import Count
from tests.support.ground import Device, Ground, Json, ProgramServer
from tests.support.invitations import by_sms, token_in
from tests.support.killable_program import NOTE
from tests.support.samples import all_wanted, one_a_day, today
from tests.support.sharing_scenes import add_delegate, check_shared, check_shared_today

pytestmark = pytest.mark.timeout(900)
OPTION: Final = "ICURE_KILLING"
# A program of today's flavour has more moments, since it makes more requests.
STEPS: Final[dict[Flavour, int]] = {"medtech": 22, "cardinal": 50}


@attrs.frozen
class Scene:
    """The moment at which the program is about to be killed.

    Attributes:
        device: where it runs.
        first: the key pair it would make.
        second: the key pair it would make when it runs again, if it had forgotten the first one.
    """

    device: Device
    first: KeyPair
    second: KeyPair


class Scenario:
    """Makes scenes, one after the other, in one of the processes.

    Attributes:
        tokens: how many long-lived tokens the program makes.
    """

    tokens: ClassVar[int] = 1

    def __init__(self, ground: Ground, server: ProgramServer) -> None:
        self.ground = ground
        self.server = server

    async def next_scene(self) -> Scene:
        raise NotImplementedError

    async def passed(self, scene: Scene, keys: set[str], last_run: Json) -> None:
        """Take note of a scene in which everything went well in the end.

        Args:
            scene: where the program was killed.
            keys: the public keys whose private halves are on the device.
            last_run: how the last run of the program ended.
        """

    async def finish(self) -> None:
        """Check what can be checked at the end only."""

    def job(self, scene: Scene) -> Json:
        """Return the job of the program that is about to be killed, without keys."""
        return self.ground.job(scene.device)

    def most_tokens(self, last_run: Json, *, was_done: bool) -> int:
        """Return how many long-lived tokens may have been made.

        Args:
            last_run: how the last run of the program ended.
            was_done: whether the login was complete when the first run ended.
        """
        return self.tokens + int(last_run["again"])

    @property
    def reads_itself(self) -> bool:
        """True if the user can read its own record after the login."""
        return True


class Registration(Scenario):
    """Of a new user each time."""

    async def next_scene(self) -> Scene:
        first, second = self.ground.key_pairs[:2]
        return Scene(self.ground.new_device(self.ground.new_phone()), first, second)


class Login(Scenario):
    """Of the same user, on the device that has the key."""

    _device: Device | None = None

    async def next_scene(self) -> Scene:
        own, first, second = self.ground.key_pairs[:3]
        if self._device is None:
            self._device = self.ground.new_device(self.ground.new_phone())
            await self.server.finish(self.ground.job(self._device, own))
        return Scene(self._device, first, second)


class LoginWithoutKey(Scenario):
    """Of the same few users, each on several new devices."""

    def __init__(self, ground: Ground, server: ProgramServer) -> None:
        super().__init__(ground, server)
        self._helper: Device | None = None
        self._spare: list[KeyPair] = []
        self._devices: list[Device] = []
        self._patients: list[str] = []
        self._keys: list[str] = []

    async def next_scene(self) -> Scene:
        if len(self._spare) < 2:
            await self.finish()
            own, *self._spare = self.ground.key_pairs
            self._helper = self.ground.new_device(self.ground.new_phone())
            outcome = await self.server.finish(self.ground.job(self._helper, own))
            self._patients.append(outcome["patient"])
        assert self._helper is not None
        first, second = self._spare.pop(), self._spare.pop()
        return Scene(self.ground.new_device(self._helper.phone), first, second)

    def job(self, scene: Scene) -> Json:
        # Its new key opens nothing that is older, until access is given back.
        return super().job(scene) | {"opens_own_record": False}

    async def passed(self, scene: Scene, keys: set[str], last_run: Json) -> None:
        self._keys += keys
        self._devices.append(scene.device)
        self._patients.append(last_run["patient"])

    async def finish(self) -> None:
        """The user's first device reads everything, and lets the others do so."""
        if self._helper is None:
            return
        await self.server.finish(
            self.ground.job(self._helper, helps=self._keys, reads=self._patients)
        )
        for device in self._devices:
            await self.server.finish(self.ground.job(device, reads=self._patients))
        now = await self.ground.state(self._helper.phone)
        check = check_notified if self.ground.flavour == "medtech" else check_notified_today
        await check(self.ground.sandbox, now.owner["id"], key_pairs=len(self._keys))
        self._helper = None
        for known in (self._devices, self._patients, self._keys):
            known.clear()


class FirstLogin(Scenario):
    """Of a new patient each time, who was invited and asks for access."""

    _hcp: MedTechApi | None = None
    _tokens: dict[str, str]

    async def next_scene(self) -> Scene:
        first, second = self.ground.key_pairs[:2]
        if self._hcp is None:
            self._hcp, self._tokens = await self.ground.professional(), {}
        phone = self.ground.new_phone()
        patient = await self.ground.new_patient(self._hcp, phone)
        factory = by_sms(patient)
        await self._hcp.user_api.create_and_invite_user(patient, factory)
        message = await self.ground.sandbox.wait_for_message(phone)
        self._tokens[phone] = token_in(message)
        return Scene(self.ground.new_device(phone), first, second)

    def job(self, scene: Scene) -> Json:
        token = self._tokens[scene.device.phone]
        return super().job(scene) | {"invitation": token, "opens_own_record": False}

    def most_tokens(self, last_run: Json, *, was_done: bool) -> int:
        # The token of the invitation still works, and the program did not keep the result.
        return 2 if was_done else 1

    @property
    def reads_itself(self) -> bool:
        return False

    async def passed(self, scene: Scene, keys: set[str], last_run: Json) -> None:
        now = await self.ground.state(scene.device.phone)
        await check_asked(self.ground.sandbox, now.owner["id"], self.ground.hcp_id)

    async def finish(self) -> None:
        """The professional answers, and the patients read their records."""
        assert self._hcp is not None
        async with self._hcp as hcp:
            for request in await hcp.notification_api.get_pending_notifications_after():
                await hcp.data_owner_api.answer_access_request(request)
        self._hcp = None


class Sharing(Scenario):
    """Of a new patient of the same user, with a new delegate each time."""

    tokens = 0
    _device: Device | None = None

    async def next_scene(self) -> Scene:
        ground = self.ground
        own, first, second, self._reader = ground.key_pairs[:4]
        if self._device is None:
            self._device = ground.new_device(ground.new_phone())
            self._whole = await self.server.finish(ground.job(self._device, own))
        again = ground.job(self._device, own, token=self._whole["token"])
        patient_id = (await self.server.finish(again))["patient"]
        self._before = await ground.sandbox.stored("patient", patient_id) or {}
        self._delegate_id = await add_delegate(ground.sandbox, self._reader, ground.flavour)
        return Scene(self._device, first, second)

    def job(self, scene: Scene) -> Json:
        return super().job(scene) | {
            "token": self._whole["token"],
            "shares": self._before["id"],
            "delegate": self._delegate_id,
        }

    async def passed(self, scene: Scene, keys: set[str], last_run: Json) -> None:
        sandbox = self.ground.sandbox
        check = check_shared if self.ground.flavour == "medtech" else check_shared_today
        await check(sandbox, self._before, self._delegate_id, self._reader, NOTE)


class ClinicalRecords(Scenario):
    """Of the same user, new ones each time."""

    tokens = 0
    _device: Device | None = None
    _hcp: MedTechApi | None = None

    async def next_scene(self) -> Scene:
        ground = self.ground
        own, first, second = ground.key_pairs[:3]
        if self._device is None:
            self._device = ground.new_device(ground.new_phone())
            self._whole = await self.server.finish(ground.job(self._device, own))
            self._hcp = await ground.professional()
        owner_id = (await ground.state(self._device.phone)).owner["id"]
        self._course = Course(owner_id)
        return Scene(self._device, first, second)

    def job(self, scene: Scene) -> Json:
        return super().job(scene) | {
            "token": self._whole["token"],
            "patient": self._course.patient_id,
            "clinical": attrs.astuple(self._course.ids),
        }

    async def passed(self, scene: Scene, keys: set[str], last_run: Json) -> None:
        assert self._hcp is not None
        await self._course.check(self._hcp)

    async def finish(self) -> None:
        if self._hcp is not None:
            await self._hcp.aclose()


def moments_to_try(flavour: Flavour = "medtech") -> Iterator[int]:
    """Return the moments at which to kill: some of them, today's, or all on demand."""
    step = 1 if all_wanted(OPTION) else STEPS[flavour]
    return itertools.count(1 + today() % step, step)


class Killing:
    """Kills the program at one moment after the other."""

    def __init__(self, flavour: Flavour) -> None:
        self._moments = moments_to_try(flavour)
        self._survived = False
        self.tried = 0
        self.failures: list[str] = []

    async def go_on(self, scenario: Scenario) -> None:
        while not self._survived:
            await self._try(scenario, next(self._moments))
        await scenario.finish()

    async def _try(self, scenario: Scenario, moment: int) -> None:
        scene = await scenario.next_scene()
        before = await scenario.ground.state(scene.device.phone)
        job = scenario.job(scene)
        first = await scenario.server.run(_with(job, scene.first) | {"dies_at": moment})
        self.tried += first["killed"]
        self._survived = self._survived or not first["killed"]
        try:
            await self._finish(scenario, scene, before, first, _with(job, scene.second))
        except AssertionError as error:
            self.failures.append(f"{moment} ({first.get('died', 'alive')}): {error}")

    async def _finish(
        self, scenario: Scenario, scene: Scene, before: State, first: Json, job: Json
    ) -> None:
        """Check what the first run has left, and what the job of a second one makes of it."""
        ground, device = scenario.ground, scene.device
        assert "error" not in first, first["error"]
        now = await ground.state(device.phone)
        found = await ground.check_keys(before, now, device)
        done = await _is_whole(scenario, before, now, device)
        last = first
        if first["killed"]:
            last = await scenario.server.finish(job)
            now = await ground.state(device.phone)
        assert done or not last["again"], "a process was started again that was not done"
        left = await ground.check_whole(
            before,
            now,
            device,
            tokens=range(scenario.tokens, 1 + scenario.most_tokens(last, was_done=done)),
            reads_itself=scenario.reads_itself,
        )
        assert found in (set(), left), "a key pair on the device was replaced"
        keys = {key for key in now.published if fingerprint_of(key) in left}
        await scenario.passed(scene, keys, last)


async def _is_whole(scenario: Scenario, before: State, now: State, device: Device) -> bool:
    tokens = range(scenario.tokens, scenario.tokens + 1)
    try:
        await scenario.ground.check_whole(
            before, now, device, tokens=tokens, reads_itself=scenario.reads_itself
        )
    except (AssertionError, KeyError):
        return False
    return True


def _with(job: Json, key_pair: KeyPair) -> Json:
    return job | {"keys": [[key_pair.public_key, key_pair.private_key]]}


@pytest.mark.parametrize(
    ("make", "flavour"),
    [
        *itertools.product(
            [Registration, Login, LoginWithoutKey, Sharing], ["medtech", "cardinal"]
        ),
        *((ClinicalRecords, flavour) for flavour in one_a_day(["medtech", "cardinal"], OPTION)),
        (FirstLogin, "medtech"),
    ],
)
async def test_killed_at_any_moment_it_finishes_when_started_again(
    make: type[Scenario],
    flavour: Flavour,
    ground: Ground,
    servers: list[ProgramServer],
    count: Count,
) -> None:
    killing = Killing(flavour)
    await asyncio.gather(*(killing.go_on(make(ground, server)) for server in servers))
    failed = len(killing.failures)
    count(f"{make.__name__} in {flavour}: killed at {killing.tried} points, {failed} failed")
    assert killing.failures == []


async def test_killed_at_any_moment_of_an_invitation_it_finishes_when_started_again(
    ground: Ground, servers: list[ProgramServer], count: Count
) -> None:
    moments = moments_to_try()
    killed = 0
    survived = False

    async def go_on(server: ProgramServer) -> None:
        nonlocal killed, survived
        async with await ground.professional() as hcp:
            while not survived:
                phone = ground.new_phone()
                patient = await ground.new_patient(hcp, phone)
                job = ground.invitation(str(patient.id))
                first = await server.run(job | {"dies_at": next(moments)})
                assert "error" not in first, first["error"]
                if first["killed"]:
                    killed += 1
                    last = await server.finish(job)
                else:
                    survived, last = True, first
                message = await ground.sandbox.wait_for_message(phone)
                assert await ground.user_of_token(phone, token_in(message)) == last["user"]
                assert await ground.users_of(str(patient.id)) == [last["user"]]

    await asyncio.gather(*map(go_on, servers))
    count(f"Invitation: killed at {killed} points")
    assert killed > 0
