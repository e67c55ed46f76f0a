"""Death at any point of ``complete_authentication``, and the next call."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar, TypeVar

import aiohttp
import pytest

from icure_async import (
    AnonymousMedTechApi,
    AuthenticationProcess,
    KeyPair,
)
from icure_async.authentication.process import AuthenticationState
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import CodeExpiredError, InvalidCodeError, TooManyAttemptsError
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from icure_async.storage import FileKeyStorage, FileStorage
from tests.support.builders import anonymous_builder_for
from tests.support.death import DeathError, Fate, MortalKeyStorage, MortalStorage
from tests.support.logins import (
    CAPTCHA,
    another,
    assert_can_work,
    left_in,
    owner_of,
    public_keys_of,
    tokens_of,
    user_named,
)

T = TypeVar("T")


_numbers = itertools.count(470_000_000)


@pytest.fixture(autouse=True)
def known_keys(keys_validated_once: None) -> None:
    """These tests use the same keys on many devices."""


class PooledCrypto(SoftwareCrypto):
    """Makes the same few key pairs for everyone, to save time; each only once per device."""

    _pool: ClassVar[list[KeyPair]] = []
    _parsed: ClassVar[SoftwareCrypto] = SoftwareCrypto()

    def __init__(self) -> None:
        super().__init__()
        self._private_keys = self._parsed._private_keys
        self._public_keys = self._parsed._public_keys
        self._made = 0

    async def generate_key_pair(self) -> KeyPair:
        if self._made == len(self._pool):
            self._pool.append(await super().generate_key_pair())
        self._made += 1
        return self._pool[self._made - 1]


class Device:
    """A device: a folder that survives its programs."""

    flavour: ClassVar[Flavour] = "medtech"

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        self.phone_number = f"+32{next(_numbers)}"
        self._crypto = PooledCrypto()
        self.lost: set[str] = set()
        self._use(directory / self.phone_number)

    def _use(self, directory: Path) -> None:
        self._directory = directory
        # Reads the disk each time, and remembers no more than that a file was valid.
        self.keys = FileKeyStorage(directory / "keys")

    async def lose_everything(self) -> None:
        self.lost |= await self.published_keys()
        self._use(self._directory.with_name(f"{self.phone_number} after {len(self.lost)}"))

    @asynccontextmanager
    async def program(self, fate: Fate | None = None) -> AsyncIterator[AnonymousMedTechApi]:
        fate = fate or Fate()
        state = FileStorage(self._directory / "state")
        async with aiohttp.ClientSession(trace_configs=[fate.trace()]) as client_session:
            builder = (
                anonymous_builder_for(self.sandbox)
                .with_flavour(self.flavour)
                .with_client_session(client_session)
                .with_crypto(self._crypto)
                .with_storage(MortalStorage(state, fate))
                .with_key_storage(MortalKeyStorage(self.keys, fate))
            )
            async with builder.build() as api:
                yield api

    async def start(self) -> tuple[str, str]:
        """Return a process, as JSON, and its code."""
        async with self.program() as api:
            process = await api.authentication_api.start_authentication(
                CAPTCHA,
                phone_number=self.phone_number,
                first_name="Ned",
                last_name="Stark",
                healthcare_professional_id=self.sandbox.master_hcp.data_owner_id,
            )
        return process.to_json(), await self.sandbox.wait_for_code(self.phone_number)

    async def complete(self, process: str, code: str, fate: Fate | None = None) -> None:
        """Complete the process, and work with what comes out."""
        async with self.program(fate) as api:
            result = await api.authentication_api.complete_authentication(
                AuthenticationProcess.from_json(process), code
            )
            if fate is None:
                async with result.med_tech_api as ned:
                    await assert_can_work(ned)
            else:
                await result.med_tech_api.aclose()

    async def die(self, process: str, code: str, fate: Fate) -> str | None:
        """Complete the process until death, and return where it came, if it came."""
        task = fate.program = asyncio.create_task(self.complete(process, code, fate))
        outcome: object
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if outcome is None:
            return None
        while isinstance(outcome, BaseExceptionGroup) and len(outcome.exceptions) == 1:
            # Death came to a task that works for the program.
            outcome = outcome.exceptions[0]
        assert isinstance(outcome, DeathError | asyncio.CancelledError), outcome
        # Tasks next to it may have reached later ones before they ended.
        return fate.point

    async def published_keys(self) -> set[str]:
        if await user_named(self.sandbox, self.phone_number) is None:
            return set()
        return public_keys_of(await owner_of(self.sandbox, self.phone_number))

    async def tokens(self) -> int:
        if await user_named(self.sandbox, self.phone_number) is None:
            return 0
        return len(await tokens_of(self.sandbox, self.phone_number))

    async def assert_whole(self, tokens: int) -> None:
        """One key, published and on disk; the patient can read itself; no stray token.

        Everybody knows of the key, if there were others before it.
        """
        owner = await owner_of(self.sandbox, self.phone_number)
        (public_key,) = public_keys_of(owner) - self.lost
        key_pair = await self.keys.get_key_pair(owner["id"], public_key)
        assert key_pair is not None
        assert key_pair.public_key == public_key
        assert set(owner["delegations"]) == {owner["id"], self.sandbox.master_hcp.data_owner_id}
        assert await self.tokens() == tokens
        assert await left_in(FileStorage(self._directory / "state")) == []
        hcp_id = self.sandbox.master_hcp.data_owner_id
        tasks = (await self.sandbox.export())["entities"].get("maintenancetask", {}).values()
        told = [set(task["delegations"]) for task in tasks if task["responsible"] == owner["id"]]
        # Of each key after the first, once each.
        assert told.count({owner["id"]}) == len(self.lost)
        assert told.count({owner["id"], hcp_id}) == len(self.lost)
        assert len(told) == 2 * len(self.lost)


Prepare = Callable[[Device], Awaitable[tuple[str, str]]]


async def registering(device: Device) -> tuple[str, str]:
    return await device.start()


async def logging_in(device: Device) -> tuple[str, str]:
    if not await device.tokens():
        await device.complete(*await device.start())
    return await device.start()


async def logging_in_without_the_key(device: Device) -> tuple[str, str]:
    if not await device.tokens():
        await device.complete(*await device.start())
    await device.lose_everything()
    return await device.start()


LAST = "the last"

EXPECTED: dict[Prepare, list[str]] = {
    registering: [
        "get_item",
        "set_item",
        "GET /validate",
        "POST /login",
        "set_item",
        "POST /token",
        "POST /login",
        "GET /dataowner",
        "list_key_pairs",
        "store_key_pair",
        "GET /user",
        "GET /dataowner",
        "get_known_keys",
        "get_known_keys",
        "set_known_keys",
        "PUT /patient",
        "get_item",
        "remove_item",
    ],
    logging_in: [
        "get_item",
        "set_item",
        "GET /validate",
        "POST /login",
        "set_item",
        "POST /token",
        "POST /login",
        "GET /dataowner",
        "get_key_pair",
        "get_item",
        "remove_item",
    ],
    logging_in_without_the_key: [
        "get_item",
        "set_item",
        "GET /validate",
        "POST /login",
        "set_item",
        "POST /token",
        "POST /login",
        "GET /dataowner",
        "get_key_pair",
        "list_key_pairs",
        "store_key_pair",
        "set_item",
        "get_known_keys",
        "GET /hcparty",
        "GET /patient",
        "GET /device",
        "GET /user",
        "GET /dataowner",
        "get_known_keys",
        "get_known_keys",
        "set_known_keys",
        "PUT /patient",
        "get_item",
        "GET /exchangedata",
        "POST /maintenancetask",
        "POST /maintenancetask",
        "remove_item",
        "remove_item",
    ],
}


def in_short(points: list[str]) -> list[str]:
    short: list[str] = []
    for point in points:
        when, _, name = point.partition(" ")
        method, _, path = name.partition(" ")
        known = (
            *("validate", "login", "token", "dataowner", "maintenancetask"),
            *("exchangedata", "patient", "hcparty", "device", "user"),
        )
        resource = next((f" /{part}" for part in known if f"/{part}" in path), "")
        short.append(f"{when} {method}{resource}")
    return short


@pytest.mark.parametrize("prepare", EXPECTED, ids=lambda prepare: prepare.__name__)
async def test_it_can_die_at_these_points(
    prepare: Prepare, sandbox: Sandbox, tmp_path: Path
) -> None:
    device = Device(sandbox, tmp_path)
    fate = Fate()
    assert await device.die(*await prepare(device), fate) is None
    assert in_short(fate.points) == [
        f"{when} {step}" for step in EXPECTED[prepare] for when in ("before", "after")
    ]


async def deaths(
    sandbox: Sandbox, directory: Path, prepare: Prepare, *, cancelled: bool = False
) -> AsyncIterator[tuple[Device, str, str, str, int]]:
    """Yield a device on which a completion has died, for each point it can die at."""
    device = Device(sandbox, directory)
    last = len(EXPECTED[prepare]) * 2 - 1
    for number in range(last + 1):
        if prepare is not logging_in:
            device = Device(sandbox, directory)
        process, code = await prepare(device)
        tokens = await device.tokens()
        point = await device.die(process, code, Fate(number, cancelled=cancelled))
        assert point is not None
        assert len(await device.published_keys() - device.lost) <= 1
        yield device, process, code, "the last" if number == last else point, tokens


@pytest.mark.parametrize(
    ("cancelled", "prepare"),
    [(False, registering), (True, logging_in), (True, logging_in_without_the_key)],
    ids=["registration killed", "login cancelled", "login without the key cancelled"],
)
async def test_the_next_call_finishes_the_job(
    cancelled: bool, prepare: Prepare, sandbox: Sandbox, tmp_path: Path
) -> None:
    async for device, process, code, point, tokens in deaths(
        sandbox, tmp_path, prepare, cancelled=cancelled
    ):
        if point == LAST:
            # Nothing was left to be done but to hand over the result: that needs a new code.
            with pytest.raises(CodeExpiredError):
                await device.complete(process, code)
        else:
            await device.complete(process, code)
        await device.assert_whole(tokens + 1)


async def test_a_second_death_changes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    for first in range(3, len(EXPECTED[registering]) * 2 - 1, 4):
        device = Device(sandbox, tmp_path)
        process, code = await device.start()
        await device.die(process, code, Fate(first))
        # Some way into what is left, or at its end.
        if await device.die(process, code, Fate(9)) not in (None, LAST):
            await device.complete(process, code)
        await device.assert_whole(1)


async def test_a_wrong_code_after_death_completes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    async for device, process, code, point, _ in deaths(sandbox, tmp_path, registering):
        keys, tokens = await device.published_keys(), await device.tokens()
        with pytest.raises(CodeExpiredError if point == LAST else InvalidCodeError) as caught:
            await device.complete(process, another(code))
        assert (await device.published_keys(), await device.tokens()) == (keys, tokens)
        if point == LAST:
            continue
        after: AuthenticationProcess = caught.value.process  # type: ignore[assignment]
        assert (after.state, after.wrong_codes) == (AuthenticationState.CODE_SENT, 1)
        await device.complete(after.to_json(), code)
        await device.assert_whole(1)


async def test_death_of_a_wrong_code_harms_nobody(sandbox: Sandbox, tmp_path: Path) -> None:
    for number in range(6):
        device = Device(sandbox, tmp_path)
        process, code = await device.start()
        assert await device.die(process, another(code), Fate(number)) is not None
        # Neither the same nor the right code is taken for the other one.
        with pytest.raises(InvalidCodeError):
            await device.complete(process, another(code))
        assert await device.tokens() == 0
        await device.complete(process, code)
        await device.assert_whole(1)


async def test_the_code_may_expire_once_the_token_exists(sandbox: Sandbox, tmp_path: Path) -> None:
    finished = []
    async for device, process, code, point, _ in deaths(sandbox, tmp_path, registering):
        had_token = await device.tokens() == 1
        keys = await device.published_keys()
        sandbox.advance_clock(601)
        if had_token and point != LAST:
            await device.complete(process, code)
            await device.assert_whole(1)
            finished.append(point)
        else:
            with pytest.raises(CodeExpiredError):
                await device.complete(process, code)
            assert await device.published_keys() == keys
    steps = EXPECTED[registering]
    after_the_token = steps[steps.index("POST /token") :]
    assert len(finished) == len(after_the_token) * 2 - 2


async def crashed_after_the_token(device: Device) -> tuple[str, str]:
    process, code = await device.start()
    point = await device.die(
        process, code, Fate(EXPECTED[registering].index("POST /token") * 2 + 1)
    )
    assert point is not None
    assert point.startswith("after POST /rest/v1/user/token/")
    return process, code


@pytest.mark.parametrize("state", ["validated", "signedIn", "authorised"])
async def test_a_process_saved_on_the_way_is_no_worse(
    state: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    device = Device(sandbox, tmp_path)
    process, code = await crashed_after_the_token(device)
    process = process.replace("codeSent", state)
    assert state in process
    with pytest.raises(InvalidCodeError):
        await device.complete(process, another(code))
    await device.complete(process, code)
    await device.assert_whole(1)


async def test_a_code_cannot_be_guessed_on_the_device(sandbox: Sandbox, tmp_path: Path) -> None:
    device = Device(sandbox, tmp_path)
    process, code = await crashed_after_the_token(device)
    for _ in range(4):
        with pytest.raises(InvalidCodeError):
            await device.complete(process, another(code))
    with pytest.raises(TooManyAttemptsError) as caught:
        await device.complete(process, another(code))
    assert caught.value.process is not None
    assert caught.value.process.state is AuthenticationState.LOCKED
    # Not even the right one is taken any more.
    with pytest.raises(CodeExpiredError):
        await device.complete(process, code)
    assert await device.published_keys() == set()


async def test_a_token_that_is_good_no_more_is_replaced(sandbox: Sandbox, tmp_path: Path) -> None:
    device = Device(sandbox, tmp_path)
    process, code = await crashed_after_the_token(device)
    text = AuthenticationProcess.from_json(process).request_id
    state = FileStorage(tmp_path / device.phone_number / "state")
    (name,) = await state.list_items()
    assert name.endswith(text)
    sandbox.advance_clock(31 * 24 * 3600)
    # Neither the token nor the code is accepted any more.
    with pytest.raises(CodeExpiredError):
        await device.complete(process, code)
    assert await state.list_items() == []
    assert await device.published_keys() == set()
