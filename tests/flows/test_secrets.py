"""Messages, log lines and reprs, none of which shows a secret."""

from __future__ import annotations

import base64
import copy
import inspect
import logging
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import aiohttp
import pytest

from icure_async import (
    AnonymousMedTechApiBuilder,
    AuthenticationProcess,
    KeyPair,
    MedTechApiBuilder,
    Patient,
)
from icure_async.errors import (
    AuthenticationError,
    ConflictError,
    DecryptionError,
    ICureError,
    InvalidCodeError,
    InvalidResponseError,
    ValidationError,
    WeakPasswordError,
)
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage, MemoryStorage
from tests.support.json_proxy import Exchange, Proxy
from tests.support.story import NOTE, PHONE, Story, tell

WRONG_PASSWORD = "a wrong password, and nobody's business"
NEW_PASSWORD = "the next password, and nobody's business either"


class Secrets:
    """The secrets that must not be seen, in all forms in which they may leak."""

    def __init__(self) -> None:
        self._forms: dict[str, str] = {}

    def add(self, what: str, secret: str) -> None:
        assert len(secret) >= 6
        for form in (secret, repr(secret)[1:-1], base64.b64encode(secret.encode()).decode()):
            self._forms[form] = what

    def add_key_pair(self, key_pair: KeyPair) -> None:
        # Any part of it: keys are cut when they are logged. The head is the same for all keys.
        middle = key_pair.private_key[100:-40]
        for start in range(0, len(middle), 40):
            self.add("private key", middle[start : start + 20])

    def found_in(self, text: str) -> set[str]:
        return {what for form, what in self._forms.items() if form in text}


class Wire:
    """Records the tokens of a client session, for looking for them elsewhere."""

    def __init__(self) -> None:
        self.authorizations: set[str] = set()

    async def record(
        self, session: aiohttp.ClientSession, context: Any, params: aiohttp.TraceRequestStartParams
    ) -> None:
        for name in ("Authorization", "Refresh-Token", "token"):
            if name in params.headers:
                self.authorizations.add(params.headers[name].split()[-1])


@pytest.fixture
async def wire() -> Wire:
    return Wire()


@pytest.fixture
async def client_session(wire: Wire) -> Any:
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(wire.record)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        yield session


async def _provoke(
    sandbox: Sandbox,
    proxy: Proxy,
    anonymous_builder: AnonymousMedTechApiBuilder,
    builder: Callable[[str, str], MedTechApiBuilder],
    story: Story,
) -> list[ICureError]:
    """Everything that may go wrong, going wrong."""
    errors: list[ICureError] = []
    assert story.result is not None
    login, token = story.result.process.login, story.token

    async with anonymous_builder.build() as anonymous:
        process = await anonymous.authentication_api.start_authentication(
            "a-captcha-solution",
            phone_number=PHONE,
            healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        )
        code = await sandbox.wait_for_code(PHONE)
        story.codes.append(code)
        story.codes.append(wrong := f"{(int(code) + 1) % 10**6:06d}")
        with pytest.raises(InvalidCodeError) as wrong_code:
            await anonymous.authentication_api.complete_authentication(process, wrong)
        errors.append(wrong_code.value)
        with pytest.raises(ValidationError) as malformed_code:
            await anonymous.authentication_api.complete_authentication(process, wrong + "-" + code)
        errors.append(malformed_code.value)

    with pytest.raises(AuthenticationError) as wrong_password:
        await (await builder(login, WRONG_PASSWORD).build()).user_api.get_logged_user()
    errors.append(wrong_password.value)

    api = await builder(login, token).with_icure_base_url(proxy.url).build()
    await api.init_user_crypto(story.result.key_pairs[0])
    read = await api.patient_api.get_patient(story.patient_id)
    stale = copy.deepcopy(read)
    read.profession = "king"
    await api.patient_api.create_or_modify_patient(read)
    with pytest.raises(ConflictError) as conflict:
        await api.patient_api.create_or_modify_patient(stale)
    errors.append(conflict.value)

    without_keys = await builder(login, token).build()
    with pytest.raises(DecryptionError) as undecryptable:
        await without_keys.patient_api.get_patient(story.patient_id)
    errors.append(undecryptable.value)

    async def hotel(exchange: Exchange) -> None:
        exchange.answer = f"<html>{NOTE} {token}</html>"

    proxy.after(f"GET /patient/{story.patient_id}", hotel)
    with pytest.raises(InvalidResponseError) as page:
        await api.patient_api.get_patient(story.patient_id)
    errors.append(page.value)

    async def damage(exchange: Exchange) -> None:
        exchange.answer["names"] = NOTE

    proxy.after(f"GET /patient/{story.patient_id}", damage)
    with pytest.raises(InvalidResponseError) as damaged:
        await api.patient_api.get_patient(story.patient_id)
    errors.append(damaged.value)

    pair = story.result.key_pairs[0]
    with pytest.raises(ValidationError) as malformed:
        await without_keys.init_user_crypto(KeyPair(pair.public_key, pair.private_key + "00zz"))
    errors.append(malformed.value)
    bad = Patient(first_name="A", note=NOTE, gender=NOTE)  # type: ignore[arg-type]
    with pytest.raises(ValidationError) as bad_value:
        await api.patient_api.create_or_modify_patient(bad)
    errors.append(bad_value.value)
    with pytest.raises(ValidationError) as bad_document:
        Patient.from_dict({"firstName": "A", "note": [NOTE]})
    errors.append(bad_document.value)
    with pytest.raises(ValidationError) as bad_process:
        AuthenticationProcess.from_json(process.to_json().replace('"codeSent"', f'"{code}"'))
    errors.append(bad_process.value)
    story.objects += [api, without_keys, bad, process, read, stale]
    errors += await _provoke_account(sandbox, proxy, builder(login, token), story)
    return errors


async def _provoke_account(
    sandbox: Sandbox, proxy: Proxy, builder: MedTechApiBuilder, story: Story
) -> list[ICureError]:
    """The same with the user's password and tokens."""
    errors: list[ICureError] = []
    api = await builder.with_icure_base_url(proxy.url).build()
    await api.user_api.change_password(NEW_PASSWORD)
    renewed = await api.user_api.renew_token()
    story.tokens.append(renewed.token)
    for password in (NEW_PASSWORD + "|123456", NEW_PASSWORD + "\n"):
        with pytest.raises(ValidationError) as refused:
            await api.user_api.change_password(password)
        errors.append(refused.value)
    user = await api.user_api.get_logged_user()

    async def too_short(exchange: Exchange) -> None:
        exchange.status = 400
        exchange.answer = {"message": f"Your password is too short: {exchange.body}"[:80]}

    proxy.before("PUT /user", too_short)
    with pytest.raises(WeakPasswordError) as weak:
        await api.user_api.create_or_modify_user(user.evolve(password_hash=NEW_PASSWORD))
    errors.append(weak.value)
    with pytest.raises(ValidationError) as malformed:
        await api.user_api.check_token_validity(user.id, renewed.token + "\n")
    errors.append(malformed.value)
    story.objects += [api, renewed, user]
    return errors


async def test_no_secret_is_ever_shown(
    sandbox: Sandbox,
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    builder: Callable[[str, str], MedTechApiBuilder],
    wire: Wire,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    key_storage, storage = MemoryKeyStorage(), MemoryStorage()

    def anonymous() -> AnonymousMedTechApiBuilder:
        return anonymous_builder().with_key_storage(key_storage).with_storage(storage)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with Proxy(sandbox) as proxy:
            story = await tell(sandbox, anonymous(), builder)
            errors = await _provoke(sandbox, proxy, anonymous(), builder, story)

    assert story.result is not None
    secrets = Secrets()
    for code in story.codes:
        secrets.add("code", code)
    secrets.add("token", story.token)
    secrets.add("password", WRONG_PASSWORD)
    secrets.add("password", NEW_PASSWORD)
    for token in story.tokens:
        secrets.add("token", token)
    secrets.add("note", NOTE)
    for key_pair in [*story.result.key_pairs, sandbox.master_hcp.key_pair]:
        secrets.add_key_pair(key_pair)
    # JSON Web Tokens and Basic credentials, as they were on the wire.
    assert any(value.count(".") == 2 for value in wire.authorizations)
    for value in wire.authorizations:
        secrets.add("Authorization", value)

    async with builder(story.result.process.login, story.token).build() as api:
        users = [await api.user_api.get_logged_user()]
    story.objects += [key_storage, storage, users, *users, sandbox, sandbox.master_hcp]
    objects = list(_with_parts(story.objects))
    assert len(objects) > 50
    shown = {
        "repr": [repr(item) for item in objects],
        "str": [str(item) for item in objects],
        "error": [str(error) for error in errors] + [repr(error) for error in errors],
        "traceback": [
            "".join(traceback.format_exception_only(link))
            for error in errors
            for link in _chain(error)
        ],
        "log": [record.getMessage() for record in caplog.records],
        "log arguments": [f"{record.args} {record.exc_text}" for record in caplog.records],
        "warning": [str(warning.message) for warning in warned],
        "output": list(capfd.readouterr()),
        "process": [story.result.process.to_json()],
    }  # fmt: skip
    assert len(caplog.records) > 20
    assert len(errors) == 15
    for where, texts in shown.items():
        for text in texts:
            assert not secrets.found_in(text), where

    # The search itself works.
    assert secrets.found_in(f"x{story.result.key_pairs[0].private_key}") == {"private key"}
    assert secrets.found_in(str(story.result.key_pairs[0].private_key[300:400])) == {"private key"}
    assert secrets.found_in(repr({"note": NOTE})) == {"note"}


def _with_parts(objects: Iterable[Any]) -> Iterator[Any]:
    """Objects of the packages, and those they are made of: debuggers print any of them."""
    queue, seen = list(objects), set[int]()
    while queue:
        # Where this runs for icure_sync, its objects come wrapped.
        item = inspect.unwrap(queue.pop())
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict | list | tuple):
            queue += item.values() if isinstance(item, dict) else item
        elif type(item).__module__.startswith(("icure_async", "icure_sync")):
            yield item
            for cls in type(item).__mro__:
                queue += [getattr(item, name, None) for name in getattr(cls, "__slots__", ())]
            queue += vars(item).values() if hasattr(item, "__dict__") else ()


def _chain(error: BaseException) -> list[BaseException]:
    """An error and everything that is printed with it."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return links
