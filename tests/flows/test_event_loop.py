"""The event loop stays free while keys are made and records are encrypted.

Measured is the processor time of each single step of a task on the loop's own thread, which other
programs on the machine do not add to.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from blockbuster import blockbuster_ctx

from icure_async import (
    AnonymousMedTechApiBuilder,
    KeyPair,
    MedTechApiBuilder,
)
from icure_async.crypto.protocol import OaepHash
from icure_async.crypto.software import SoftwareCrypto
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage
from tests.support.seeds import key_pair_of, stage
from tests.support.story import tell

LIMIT_SECONDS = 0.010

T = TypeVar("T")


@pytest.fixture(autouse=True)
def no_garbage_collection() -> Iterator[None]:
    """Collects the garbage of the test run, which the SDK does not have to clean up."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Stopwatch(SoftwareCrypto):
    """Software crypto that notes the longest it held up the loop without a pause, per method."""

    def __init__(self) -> None:
        super().__init__()
        self.longest: dict[str, float] = {}

    async def generate_key_pair(self) -> KeyPair:
        return await self._time("generate_key_pair", super().generate_key_pair())

    async def load_key_pair(self, key_pair: KeyPair) -> None:
        await self._time("load_key_pair", super().load_key_pair(key_pair))

    async def rsa_encrypt(
        self, public_key: str, plaintext: bytes, *, oaep: OaepHash = "sha-1"
    ) -> bytes:
        encryption = super().rsa_encrypt(public_key, plaintext, oaep=oaep)
        return await self._time("rsa_encrypt", encryption)

    async def rsa_decrypt(
        self, key_pair: KeyPair, ciphertext: bytes, *, oaep: OaepHash = "sha-1"
    ) -> bytes:
        decryption = super().rsa_decrypt(key_pair, ciphertext, oaep=oaep)
        return await self._time("rsa_decrypt", decryption)

    async def aes_encrypt(self, key: bytes, plaintext: bytes) -> bytes:
        return await self._time("aes_encrypt", super().aes_encrypt(key, plaintext))

    async def aes_decrypt(self, key: bytes, ciphertext: bytes) -> bytes:
        return await self._time("aes_decrypt", super().aes_decrypt(key, ciphertext))

    def note(self, name: str, seconds: float) -> None:
        self.longest[name] = max(self.longest.get(name, 0.0), seconds)

    def _time(self, name: str, call: Awaitable[T]) -> _Timed[T]:
        return _Timed(call, lambda seconds: self.note(name, seconds))


class _Timed(Awaitable[T]):
    """An awaitable whose every stretch between two pauses is measured."""

    def __init__(self, call: Awaitable[T], note: Callable[[float], None]) -> None:
        self._call = call
        self._note = note

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._call.__await__()
        resume: Callable[[], Any] = partial(next, steps)
        while True:
            started = time.thread_time()
            try:
                paused = resume()
            except StopIteration as done:
                result: T = done.value
                return result
            finally:
                self._note(time.thread_time() - started)
            try:
                value = yield paused
            except BaseException as thrown:
                resume = partial(steps.throw, thrown)
            else:
                resume = partial(steps.send, value)


async def test_crypto_never_holds_up_the_loop(
    sandbox: Sandbox,
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    builder: Callable[[str, str], MedTechApiBuilder],
) -> None:
    crypto = Stopwatch()
    await tell(
        sandbox,
        anonymous_builder().with_crypto(crypto).with_key_storage(MemoryKeyStorage()),
        lambda name, password: builder(name, password).with_crypto(crypto),
    )
    assert crypto.longest.keys() == {
        "generate_key_pair", "load_key_pair", "rsa_encrypt", "rsa_decrypt", "aes_encrypt",
        "aes_decrypt",
    }  # fmt: skip
    for name, seconds in crypto.longest.items():
        assert seconds < LIMIT_SECONDS, name


async def test_no_step_of_the_story_holds_up_the_loop(
    sandbox: Sandbox,
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    builder: Callable[[str, str], MedTechApiBuilder],
) -> None:
    """Not only crypto: JSON, models, all that the SDK does between two pauses.

    Measured the second time, since the first includes imports, which no program repeats.
    """

    def story(phone: str) -> Awaitable[Any]:
        anonymous = anonymous_builder().with_key_storage(MemoryKeyStorage())
        return tell(sandbox, anonymous, builder, phone=phone)

    await story("+32588235595")
    steps: list[float] = []
    await _Timed(story("+32588235596"), steps.append)
    assert len(steps) > 50
    assert max(steps) < LIMIT_SECONDS


async def test_reading_many_patients_leaves_room_for_others(
    world: dict[str, Any], builder: Callable[[str, str], MedTechApiBuilder]
) -> None:
    """Copies of one patient: entries are not bound to the id of their document."""
    seed = stage(world)
    patients = seed["entities"]["patient"]
    original = patients["25127947-bfc8-4e56-b3e4-580d75f5eee4"]
    ids = [f"copy-{number}" for number in range(1000)]
    patients.update({patient_id: {**original, "id": patient_id} for patient_id in ids})
    user = world["users"]["ned"]
    async with (
        Sandbox(seed=seed, jwt=False) as sandbox,
        builder(user["login"], user["token"]).with_icure_base_url(sandbox.icure_url).build() as api,
    ):
        await api.init_user_crypto(key_pair_of(world, "ned"))
        assert len(await api.patient_api.get_patients(ids)) == len(ids)
        steps: list[float] = []
        await _Timed(api.patient_api.get_patients(ids), steps.append)
        assert max(steps) < LIMIT_SECONDS


async def test_nothing_on_the_way_blocks(
    sandbox: Sandbox,
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    builder: Callable[[str, str], MedTechApiBuilder],
    tmp_path: Path,
) -> None:
    """No file, lock or sleep on the loop's thread, with keys and state in files."""
    # The first time includes imports.
    await tell(sandbox, anonymous_builder().with_storage_directory(tmp_path / "0"), builder)
    with blockbuster_ctx("icure_async", excluded_modules=["icure_async.sandbox"]):
        await tell(
            sandbox,
            anonymous_builder().with_storage_directory(tmp_path / "1"),
            builder,
            phone="+32588235596",
        )
