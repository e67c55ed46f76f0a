"""No secret in a log, a repr or an error, over a whole registration and login."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from icure_async import AnonymousMedTechApiBuilder, AuthenticationResult
from icure_async.errors import (
    CaptchaRefusedError,
    CodeExpiredError,
    ICureError,
    InvalidCodeError,
    KeyPairNotFoundError,
    NetworkError,
    TooManyAttemptsError,
    ValidationError,
)
from icure_async.sandbox import Sandbox
from icure_async.storage import FileStorage, MemoryKeyStorage
from tests.support.builders import anonymous_builder_for
from tests.support.death import DeathError, Fate, MortalKeyStorage
from tests.support.logins import CAPTCHA, PHONE, another, assert_can_work, start

PASSWORD = "password-of-nobody"


class Witness:
    """Collects everything that could be read by others."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def see(self, *values: object) -> None:
        self.seen += [text for value in values for text in (repr(value), str(value))]

    def hear(self, error: BaseException) -> None:
        self.see(error, *error.args)
        # With all causes and contexts, as a log would have them.
        self.seen += traceback.format_exception(error)
        self.see(getattr(error, "process", None))

    async def fails(self, kind: type[BaseException], call: object) -> None:
        with pytest.raises(kind) as caught:
            await call  # type: ignore[misc]
        self.hear(caught.value)


def secrets_of(result: AuthenticationResult) -> list[str]:
    (key_pair,) = result.key_pairs
    # The middle, since the beginning of all private keys is the same.
    return [
        result.token,
        key_pair.private_key[200:232],
        result.med_tech_api._session.credentials.current.secret,
    ]


@pytest.fixture
def loop_in_debug_mode(sdk_loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """It then logs each step of each task."""
    before = sdk_loop.slow_callback_duration
    sdk_loop.slow_callback_duration = 0
    sdk_loop.set_debug(True)
    yield
    sdk_loop.set_debug(False)
    sdk_loop.slow_callback_duration = before


@pytest.mark.usefixtures("loop_in_debug_mode")
async def test_nothing_leaks(
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    sandbox: Sandbox,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    witness = Witness()
    secrets = [CAPTCHA]
    directory = tmp_path / "device"
    builder = anonymous_builder().with_storage_directory(directory)
    witness.see(builder, builder.build())
    async with builder.build() as api:
        witness.see(api, api.authentication_api)
        for _ in ("registration", "login"):
            process, code = await start(api, sandbox, validation_code_length=12)
            witness.see(process, process.to_dict(), process.to_json())
            secrets += [code, another(code)]
            complete = api.authentication_api.complete_authentication
            await witness.fails(InvalidCodeError, complete(process, another(code)))
            await witness.fails(ValidationError, complete(process, code + "0"))
            result = await complete(process, code)
            await witness.fails(CodeExpiredError, complete(process, code))
            witness.see(result, result.med_tech_api, result.process, result.key_pairs)
            witness.see(*vars(result.med_tech_api).values())
            secrets += secrets_of(result)
            async with result.med_tech_api as ned:
                await assert_can_work(ned)

    # A death halfway, and what it leaves behind.
    mortal = MortalKeyStorage(MemoryKeyStorage(), Fate(0))
    state = FileStorage(directory / "state")
    async with (
        anonymous_builder().with_storage(state).with_key_storage(mortal).build() as api,
        anonymous_builder().with_storage(state).build() as elsewhere,
    ):
        process, code = await start(api, sandbox, validation_code_length=12)
        secrets.append(code)
        complete = api.authentication_api.complete_authentication
        await witness.fails(DeathError, complete(process, code))
        progress = await api.authentication_api._progress.load(process.request_id)
        assert progress is not None
        witness.see(progress, state, mortal, *vars(api.authentication_api).values())
        secrets.append(progress.token)
        complete = elsewhere.authentication_api.complete_authentication
        await witness.fails(KeyPairNotFoundError, complete(process, code, missing_key="refuse"))
        for _ in range(4):
            await witness.fails(InvalidCodeError, complete(process, another(code)))
        await witness.fails(TooManyAttemptsError, complete(process, another(code)))

    gone = anonymous_builder().with_msg_gw_url("http://127.0.0.1:9/msggtw")
    async with gone.build() as api:
        start_again = api.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
        await witness.fails(NetworkError, start_again)
        await witness.fails(
            NetworkError, api.authentication_api.complete_authentication(process, code)
        )

    for record in caplog.records:
        witness.see(record.getMessage(), record.__dict__)
        if record.exc_info and record.exc_info[1]:
            witness.hear(record.exc_info[1])
    assert [record for record in caplog.records if record.name.startswith("icure_async")]
    assert [record for record in caplog.records if record.name == "asyncio"]
    everything = "\n".join(witness.seen)
    assert len(set(secrets)) >= 10
    for secret in secrets:
        # Long enough not to be part of some other number by chance.
        assert len(secret) >= 12
        assert secret not in everything


async def test_a_refused_captcha_is_not_quoted() -> None:
    async with Sandbox(captcha="right") as sandbox:
        builder = anonymous_builder_for(sandbox)
        witness = Witness()
        async with builder.build() as api:
            await witness.fails(
                CaptchaRefusedError,
                api.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE),
            )
    assert witness.seen
    assert not [text for text in witness.seen if CAPTCHA in text]


@pytest.mark.parametrize(
    "text", ['{"version":1,"login":"' + PASSWORD, f'{{"version":1,"{PASSWORD}":1}}']
)
def test_a_malformed_process_is_not_quoted(text: str) -> None:
    from icure_async import AuthenticationProcess

    witness = Witness()
    with pytest.raises(ICureError) as caught:
        AuthenticationProcess.from_json(text)
    witness.hear(caught.value)
    assert not [seen for seen in witness.seen if PASSWORD in seen]
