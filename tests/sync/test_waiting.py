"""Ctrl-C and the end of a program, while something that nothing can interrupt has not ended."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import icure_async.storage
from icure_sync import _plain
from icure_sync._plain import adapt, callback
from icure_sync._runtime import run
from icure_sync.storage import EncryptedKeyStorage, StorageKeyStorage
from tests.support.interpreters import Interrupted, Program, interrupt_after
from tests.support.keyrings import MemoryKeyring, use_keyring
from tests.support.plain_storages import OWNER, PAIR, Dictionary

LONG = 3.0
"""Seconds within which something that ends at once has ended, on any machine."""

STUCK_KEYRING = """
    import keyring.backend, keyring.core

    class Stuck(keyring.backend.KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            say("asked")
            threading.Event().wait()

        set_password = get_password

    keyring.core._keyring_backend = Stuck()
"""


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Ends everything that hangs, when the test has ended."""
    monkeypatch.setattr(_plain, "PATIENCE_SECONDS", 0.2)
    event = threading.Event()
    yield event
    event.set()


def stored(folder: Path) -> None:
    keys = icure_async.storage.EncryptedKeyStorage(folder, use_keyring=True)
    asyncio.run(keys.store_key_pair(OWNER, PAIR))


def test_ctrl_c_ends_the_wait_for_a_keyring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: threading.Event
) -> None:
    class Asking(MemoryKeyring):
        def get_password(self, service: str, username: str) -> str | None:
            if is_asking:
                over.wait(20)
            return super().get_password(service, username)

    is_asking = False
    use_keyring(monkeypatch, Asking())
    stored(tmp_path)
    is_asking = True
    begun = time.monotonic()
    with pytest.raises(Interrupted), interrupt_after(0.1):
        EncryptedKeyStorage(tmp_path, use_keyring=True).list_key_pairs(OWNER)
    assert time.monotonic() - begun < LONG


@pytest.mark.parametrize("method", ["get_item", "set_item", "list_items"])
def test_ctrl_c_ends_the_wait_for_a_plain_storage(method: str, over: threading.Event) -> None:
    class Hanging(Dictionary):
        def __getattribute__(self, name: str) -> object:
            found = super().__getattribute__(name)

            def hang(*args: object) -> object:
                over.wait(20)
                return found(*args)

            return hang if name == method else found

    keys = StorageKeyStorage(Hanging())
    calls: dict[str, Callable[[], object]] = {
        "get_item": lambda: keys.get_key_pair(OWNER, PAIR.fingerprint),
        "set_item": lambda: keys.store_key_pair(OWNER, PAIR),
        "list_items": lambda: keys.list_key_pairs(OWNER),
    }
    begun = time.monotonic()
    with pytest.raises(Interrupted), interrupt_after(0.1):
        calls[method]()
    assert time.monotonic() - begun < LONG


def test_ctrl_c_ends_the_wait_for_a_callback(over: threading.Event) -> None:
    begun = time.monotonic()
    with pytest.raises(Interrupted), interrupt_after(0.1):
        run(callback(over.wait, 0.2), 20)
    assert time.monotonic() - begun < LONG


def test_ctrl_c_ends_the_wait_for_a_lock_that_is_let_go_of(over: threading.Event) -> None:
    class Hanging(Dictionary):
        def lock(self, name: str) -> Hanging:
            return self

        def __enter__(self) -> None:
            pass

        def __exit__(self, *error: object) -> None:
            over.wait(20)

    async def take_turn() -> None:
        async with adapt(Hanging(), ("get_item",)).lock("turn"):
            pass

    begun = time.monotonic()
    with pytest.raises(Interrupted), interrupt_after(0.1):
        run(take_turn)
    assert time.monotonic() - begun < LONG


@pytest.mark.parametrize("package", ["icure_async", "icure_sync"])
def test_a_program_ends_at_ctrl_c_though_the_keyring_waits_for_somebody(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keyring(monkeypatch, MemoryKeyring())
    stored(tmp_path)
    call = f"EncryptedKeyStorage({str(tmp_path)!r}, use_keyring=True).list_key_pairs({OWNER!r})"
    program = Program(f"""
    {STUCK_KEYRING}
    from {package}.storage import EncryptedKeyStorage

    async def main():
        await {call}

    {"asyncio.run(main())" if package == "icure_async" else call}
    """)
    assert program.read_line() == "asked"
    program.press_ctrl_c()
    begun = time.monotonic()
    ended = program.wait()
    assert time.monotonic() - begun < LONG
    assert "KeyboardInterrupt" in ended.errors
    assert ended.exit_code != 0


def test_a_program_ends_after_a_timeout_though_the_keyring_waits_for_somebody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keyring(monkeypatch, MemoryKeyring())
    stored(tmp_path)
    program = Program(f"""
    {STUCK_KEYRING}
    from icure_async.storage import EncryptedKeyStorage

    keys = EncryptedKeyStorage({str(tmp_path)!r}, use_keyring=True)

    async def main():
        try:
            async with asyncio.timeout(1):
                await keys.list_key_pairs({OWNER!r})
        except TimeoutError:
            say("given up")

    asyncio.run(main())
    """)
    assert program.read_line() == "asked"
    begun = time.monotonic()
    ended = program.wait()
    assert ended.lines == ["given up"]
    assert time.monotonic() - begun < LONG
    assert (ended.exit_code, ended.errors) == (0, "")
