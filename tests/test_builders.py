"""The builders: what is missing or malformed is named, and nothing is sent."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from icure_async import (
    AnonymousMedTechApiBuilder,
    Flavour,
    InsecureConnectionWarning,
    KeyPair,
    KeyQuestion,
    MedTechApiBuilder,
    Patient,
    cautions,
)
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import ConfigurationError, ResponseTooLargeError
from icure_async.medtech import Settings
from icure_async.rest.connection import ConnectionOptions
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage, MemoryStorage, StorageKeyStorage
from tests.support.request_log import RequestLog

URL = "https://kraken.example"
ENVIRONMENT = (
    "ICURE_URL",
    "ICURE_MSG_GTW_URL",
    "SPEC_ID",
    "AUTH_BY_EMAIL_HCP_PROCESS_ID",
    "AUTH_BY_SMS_HCP_PROCESS_ID",
    "AUTH_BY_EMAIL_PATIENT_PROCESS_ID",
    "AUTH_BY_SMS_PATIENT_PROCESS_ID",
    "ICURE_FLAVOUR",
    "ICURE_PROJECT_ID",
    "ICURE_GROUP_ID",
)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        (lambda b: b, "with_icure_base_url"),
        (lambda b: b.with_icure_base_url(URL), "with_msg_gw_spec_id"),
        (
            lambda b: b.with_icure_base_url(URL).with_msg_gw_spec_id("ic"),
            r"with_auth_process_by_email_id\(\) or with_auth_process_by_sms_id",
        ),
    ],
)
def test_the_anonymous_builder_names_what_is_missing(
    steps: Callable[[AnonymousMedTechApiBuilder], AnonymousMedTechApiBuilder], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        steps(AnonymousMedTechApiBuilder()).build()


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        (lambda b: b.with_user_name("u").with_password("p"), "with_icure_base_url"),
        (lambda b: b.with_icure_base_url(URL).with_password("p"), "with_user_name"),
        (lambda b: b.with_icure_base_url(URL).with_user_name("u"), "with_password"),
    ],
)
def test_the_builder_names_what_is_missing(
    steps: Callable[[MedTechApiBuilder], MedTechApiBuilder], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        steps(MedTechApiBuilder()).build()


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("with_icure_base_url", "kraken.example"),
        ("with_icure_base_url", "https://kraken.example/rest/v3"),
        ("with_icure_base_url", "https://user:pw@kraken.example"),
        ("with_icure_base_url", None),
        ("with_msg_gw_url", "ftp://gw.example"),
        ("with_msg_gw_spec_id", ""),
        ("with_auth_process_by_email_id", "  "),
        ("with_auth_process_by_sms_id", None),
        ("with_msg_gw_spec_id", ".."),
        ("with_auth_process_by_email_id", "."),
        ("with_auth_process_by_sms_id", "\udc80"),
        ("with_crypto", object()),
        ("with_storage", "/home/ned/keys"),
        ("with_storage", None),
        ("with_key_storage", MemoryStorage()),
        ("with_user_name", ""),
        ("with_password", ""),
        ("with_timeout", 0),
        ("with_timeout", float("inf")),
        ("with_timeout", "30"),
        ("with_timeout", None),
        ("with_timeout", True),
        ("with_storage_directory", None),
        ("with_storage_directory", ""),
        ("with_storage_directory", "~nobody-of-this-name/keys"),
        ("with_public_key_policy", 5),
        ("with_client_session", object()),
        ("with_max_response_size", 0),
        ("with_max_response_size", -1),
        ("with_max_response_size", 1.5),
        ("with_max_response_size", "64 MiB"),
        ("with_max_response_size", True),
        ("with_connection_limit", 0),
        ("with_connection_limit", None),
        ("with_connection_limit", float("inf")),
        ("with_proxy", "proxy.example:3128"),
        ("with_proxy", "http://user:pw@"),
        ("with_proxy", None),
        ("with_ssl_context", True),
        ("with_ssl_context", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)),
        ("with_icure_base_url", "https://kraken.example\n"),
        ("with_msg_gw_url", " https://gw.example"),
        ("with_msg_gw_spec_id", "ic\n"),
        ("with_auth_process_by_sms_id", " patient-sms"),
        ("with_user_name", "ned@winterfell.example\n"),
        ("with_password", "pwd\n"),
    ],
)
def test_a_malformed_option_is_refused_at_once(method: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=method) as caught:
        getattr(MedTechApiBuilder(), method)(value)
    assert "pw" not in str(caught.value).replace("pwd", "")


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("with_icure_base_url", "https://kraken.example\n"),
        ("with_msg_gw_url", "\thttps://gw.example"),
        ("with_msg_gw_spec_id", "ic\n"),
        ("with_auth_process_by_email_id", "process "),
        ("with_auth_process_by_sms_id", " process"),
        ("with_user_name", "ned\n"),
        ("with_password", "hodor\r\n"),
    ],
)
def test_a_blank_around_an_option_is_said_to_be_the_trouble(method: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"begins or ends with a .*: remove it") as caught:
        getattr(MedTechApiBuilder(), method)(value)
    assert method in str(caught.value)
    assert "hodor" not in str(caught.value)


def test_a_password_may_begin_and_end_with_blanks() -> None:
    MedTechApiBuilder().with_password(" hodor ")


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("with_proxy", "http://user:pw@proxy.example:3128"),
        ("with_ssl_context", ssl.create_default_context()),
        ("with_connection_limit", 100),
    ],
)
@pytest.mark.parametrize("session_first", [True, False])
async def test_what_a_callers_session_brings_itself_is_refused_beside_it(
    method: str, value: Any, session_first: bool
) -> None:
    builder = MedTechApiBuilder().with_icure_base_url(URL).with_user_name("u").with_password("p")
    async with aiohttp.ClientSession() as session:
        if session_first:
            builder.with_client_session(session)
        getattr(builder, method)(value)
        builder.with_client_session(session)
        with pytest.raises(
            ConfigurationError, match=rf"with_client_session\(\) can't be .*{method}\(\)"
        ) as caught:
            builder.build()
    assert "proxy.example" not in str(caught.value)


async def test_the_size_of_answers_goes_with_a_callers_session(
    builder: Callable[[str, str], MedTechApiBuilder], sandbox: Sandbox
) -> None:
    master = sandbox.master_hcp
    limited = builder(master.login, master.password).with_max_response_size(100)
    async with limited.build() as api:
        with pytest.raises(ResponseTooLargeError, match=r"with_max_response_size\(\)"):
            await api.user_api.get_logged_user()


async def test_a_connection_limit_is_kept(sandbox: Sandbox) -> None:
    master = sandbox.master_hcp
    async with (
        MedTechApiBuilder()
        .with_icure_base_url(sandbox.icure_url)
        .with_user_name(master.login)
        .with_password(master.password)
        .with_connection_limit(2)
        .build()
    ) as api:
        users = await asyncio.gather(*(api.user_api.get_user(master.user_id) for _ in range(20)))
        connector = api._connection.client_session.connector
        assert connector is not None
        assert len(connector._conns) <= 2
    assert {user.id for user in users} == {master.user_id}


def test_no_builder_shows_the_password_of_its_proxy() -> None:
    builder = MedTechApiBuilder().with_icure_base_url(URL).with_proxy("http://u:hodor@proxy:1")
    assert "hodor" not in repr(builder)
    assert "hodor" not in repr(builder._proxy)
    assert "hodor" not in repr(ConnectionOptions(proxy=builder._proxy))


@pytest.fixture
def _nobody_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cautions, "given", set())


@pytest.mark.usefixtures("_nobody_warned")
def test_a_url_in_clear_is_warned_of_once(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    for url in ("http://icure_backend:16043", "http://10.0.0.1"):
        MedTechApiBuilder().with_icure_base_url(url).with_user_name("u").with_password("p").build()

    [warned] = recwarn
    assert warned.category is InsecureConnectionWarning
    assert issubclass(warned.category, UserWarning)
    assert "with_icure_base_url()" in str(warned.message)
    assert warned.filename == __file__


@pytest.mark.usefixtures("_nobody_warned")
def test_a_gateway_in_clear_is_warned_of_too() -> None:
    builder = (
        AnonymousMedTechApiBuilder()
        .with_icure_base_url(URL)
        .with_msg_gw_url("http://gateway.example")
        .with_msg_gw_spec_id("ic")
        .with_auth_process_by_sms_id("sms")
    )
    with pytest.warns(InsecureConnectionWarning, match=r"with_msg_gw_url\(\)"):
        builder.build()


@pytest.mark.parametrize(
    "url",
    [URL, "http://localhost:16043", "http://127.0.0.1", "http://[::1]:1", "http://a.localhost"],
)
@pytest.mark.usefixtures("_nobody_warned")
def test_what_is_encrypted_or_stays_on_this_machine_is_not_warned_of(url: str) -> None:
    MedTechApiBuilder().with_icure_base_url(url).with_user_name("u").with_password("p").build()


async def test_a_closed_client_session_is_refused() -> None:
    session = aiohttp.ClientSession()
    await session.close()
    with pytest.raises(ConfigurationError, match="with_client_session"):
        MedTechApiBuilder().with_client_session(session)


def test_no_builder_shows_its_password() -> None:
    builder = MedTechApiBuilder().with_icure_base_url(URL).with_password("s3cret")
    assert "s3cret" not in repr(builder)


@pytest.mark.parametrize("missing", ["ICURE_URL", "SPEC_ID"])
def test_from_env_names_the_missing_variable(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ICURE_URL", "SPEC_ID", "AUTH_BY_SMS_HCP_PROCESS_ID"):
        if name != missing:
            monkeypatch.setenv(name, URL if name == "ICURE_URL" else "x")
    with pytest.raises(ConfigurationError, match=missing):
        AnonymousMedTechApiBuilder.from_env()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ICURE_URL", "nope"),
        ("ICURE_MSG_GTW_URL", "nope"),
        ("SPEC_ID", ".."),
        ("AUTH_BY_EMAIL_HCP_PROCESS_ID", "\udc80"),
        ("AUTH_BY_SMS_HCP_PROCESS_ID", ".."),
    ],
)
def test_from_env_names_the_malformed_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICURE_URL", URL)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{name} is malformed"):
        MedTechApiBuilder.from_env()


async def test_blanks_around_values_in_the_environment_are_no_matter(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of secrets end with a line break."""
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, f" {value}\r\n")
    monkeypatch.setenv("AUTH_BY_SMS_HCP_PROCESS_ID", " \n")
    async with AnonymousMedTechApiBuilder.from_env(user_type="patient").build() as api:
        process = await api.authentication_api.start_authentication(
            "captcha",
            phone_number="+32588235595",
            first_name="Ned",
            last_name="Stark",
            healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        )
    assert await sandbox.wait_for_code(process.login, timeout=5)


def test_a_variable_of_nothing_but_blanks_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICURE_URL", " \n")
    with pytest.raises(ConfigurationError, match="ICURE_URL is missing"):
        MedTechApiBuilder.from_env()


async def test_a_sandbox_on_an_ipv6_address_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(host="::1") as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        master = sandbox.master_hcp
        builder = MedTechApiBuilder.from_env().with_user_name(master.login)
        async with builder.with_password(master.password).build() as api:
            assert (await api.user_api.get_logged_user()).id == master.user_id


def test_from_env_refuses_an_unknown_user_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICURE_URL", URL)
    unknown: Any = "doctor"
    for builder in (AnonymousMedTechApiBuilder, MedTechApiBuilder):
        with pytest.raises(ConfigurationError, match="user_type must be 'hcp' or 'patient'"):
            builder.from_env(user_type=unknown)


@pytest.mark.parametrize(
    ("user_type", "named"),
    [
        (None, "AUTH_BY_EMAIL_HCP_PROCESS_ID or AUTH_BY_SMS_HCP_PROCESS_ID"),
        ("patient", "AUTH_BY_EMAIL_PATIENT_PROCESS_ID or AUTH_BY_SMS_PATIENT_PROCESS_ID"),
    ],
)
def test_from_env_names_the_missing_process(
    user_type: Any, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICURE_URL", URL)
    monkeypatch.setenv("SPEC_ID", "ic")
    with pytest.raises(ConfigurationError, match=named):
        AnonymousMedTechApiBuilder.from_env(user_type=user_type)


def test_the_builder_from_env_needs_the_url_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="ICURE_URL"):
        MedTechApiBuilder.from_env()
    monkeypatch.setenv("ICURE_URL", URL)
    MedTechApiBuilder.from_env().with_user_name("u").with_password("p").build()


@pytest.mark.parametrize(
    ("user_type", "member"),
    [(None, "healthcare_party_id"), ("hcp", "healthcare_party_id"), ("patient", "patient_id")],
)
async def test_from_env_registers_whom_it_says(
    sandbox: Sandbox, user_type: Any, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    async with AnonymousMedTechApiBuilder.from_env(user_type=user_type).build() as anonymous_api:
        process = await anonymous_api.authentication_api.start_authentication(
            "captcha",
            phone_number="+32588235595",
            first_name="Ned",
            last_name="Stark",
            healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        )
        code = await sandbox.wait_for_code(process.login, timeout=5)
        result = await anonymous_api.authentication_api.complete_authentication(process, code)
    async with result.med_tech_api as api:
        user = await api.user_api.get_logged_user()
    assert getattr(user, member)


def test_patients_are_taken_where_only_they_are_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ICURE_URL", URL)
    monkeypatch.setenv("SPEC_ID", "ic")
    monkeypatch.setenv("AUTH_BY_SMS_PATIENT_PROCESS_ID", "patients")
    AnonymousMedTechApiBuilder.from_env().build()


async def test_building_makes_no_request_and_awaits_or_enters(
    builder: Callable[[str, str], MedTechApiBuilder], requests: RequestLog
) -> None:
    api = await builder("u", "p").build()
    await api.aclose()
    await api.aclose()
    async with builder("u", "p").build() as entered:
        assert "p'" not in repr(entered)
    assert requests.take() == []


async def test_a_callers_client_session_is_never_closed(
    builder: Callable[[str, str], MedTechApiBuilder], client_session: aiohttp.ClientSession
) -> None:
    async with builder("u", "p").build():
        pass
    assert not client_session.closed


async def test_the_gateway_is_needed_for_authentication_only(sandbox: Sandbox) -> None:
    builder = (
        MedTechApiBuilder()
        .with_icure_base_url(sandbox.icure_url)
        .with_user_name(sandbox.master_hcp.login)
        .with_password(sandbox.master_hcp.password)
    )
    async with builder.build() as api:
        with pytest.raises(ConfigurationError, match="with_msg_gw_spec_id"):
            api.authentication_api  # noqa: B018
    configured = builder.with_msg_gw_spec_id("ic").with_auth_process_by_sms_id("x")
    async with configured.build() as api:
        assert api.authentication_api is not None


async def test_crypto_storage_and_key_storage_of_the_caller_are_used(sandbox: Sandbox) -> None:
    made: list[KeyPair] = []

    class CountingCrypto(SoftwareCrypto):
        async def generate_key_pair(self) -> KeyPair:
            made.append(await super().generate_key_pair())
            return made[-1]

    storage, key_storage = MemoryStorage(), MemoryKeyStorage()
    async with (
        AnonymousMedTechApiBuilder()
        .with_icure_base_url(sandbox.icure_url)
        .with_msg_gw_url(sandbox.msg_gw_url)
        .with_msg_gw_spec_id(sandbox.spec_id)
        .with_auth_process_by_email_id(sandbox.hcp_process_by_email_id)
        .with_crypto(CountingCrypto())
        .with_storage(storage)
        .with_key_storage(key_storage)
        .prevent_cookie_usage()
        .with_timeout(20)
        .build()
    ) as anonymous_api:
        process = await anonymous_api.authentication_api.start_authentication(
            "captcha", email="jon@wall.example", first_name="Jon", last_name="Snow"
        )
        code = await sandbox.wait_for_code("jon@wall.example", timeout=5)
        result = await anonymous_api.authentication_api.complete_authentication(process, code)
        generated = await anonymous_api.generate_rsa_keypair()
    assert result.key_pairs == made[:1]
    assert generated == made[1]
    async with result.med_tech_api as api:
        user = await api.user_api.get_logged_user()
        owner_id = api.data_owner_api.get_data_owner_id_of(user)
    assert await key_storage.list_key_pairs(owner_id) == made[:1]
    assert await storage.list_items("icure.authentication.") == []


async def test_a_storage_directory_keeps_what_the_next_program_needs(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    master = sandbox.master_hcp

    def build() -> Any:
        return (
            MedTechApiBuilder()
            .with_icure_base_url(sandbox.icure_url)
            .with_user_name(master.login)
            .with_password(master.password)
            .with_storage_directory(tmp_path / "app")
            .build()
        )

    async with build() as api:
        await api.init_user_crypto(master.key_pair)
        saved = await api.patient_api.create_or_modify_patient(Patient(last_name="S", note="n"))
    async with build() as api:
        assert await api.init_user_crypto() == [master.key_pair]
        assert (await api.patient_api.get_patient(saved.id)).note == "n"
    files = list((tmp_path / "app" / "keys").iterdir())
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600]


async def _yes(question: KeyQuestion) -> bool:
    return True


@pytest.mark.parametrize("storage", [None, MemoryStorage()])
def test_trust_on_first_use_needs_a_storage_that_stays(storage: MemoryStorage | None) -> None:
    builder = (
        MedTechApiBuilder()
        .with_icure_base_url("https://example.org")
        .with_user_name("ned")
        .with_password("secret")
        .with_trust_on_first_use(_yes)
    )
    if storage is not None:
        builder.with_storage(storage)
    with pytest.raises(ConfigurationError, match="with_storage_directory"):
        builder.build()


@pytest.mark.parametrize("digests", ["ab" * 32, 5, ["ab"], ["x" * 64], [None], ["0203010001"]])
def test_only_whole_digests_are_pinned(digests: Any) -> None:
    with pytest.raises(ConfigurationError, match="with_pinned_keys"):
        MedTechApiBuilder().with_pinned_keys(digests)


@pytest.mark.parametrize("method", ["with_trust_on_first_use", "on_key_change"])
def test_what_cannot_be_called_is_refused(method: str) -> None:
    with pytest.raises(ConfigurationError, match=method):
        getattr(MedTechApiBuilder(), method)("yes")


def test_a_storage_that_stays_may_be_trusted_on_first_use(tmp_path: Path) -> None:
    (
        MedTechApiBuilder()
        .with_icure_base_url("https://example.org")
        .with_user_name("ned")
        .with_password("secret")
        .with_trust_on_first_use(_yes)
        .with_storage_directory(tmp_path)
        .build()
    )


_PROGRAM = """
import asyncio, sys, warnings
from icure_async import AnonymousMedTechApiBuilder
from icure_async.sandbox import Sandbox

async def main(option):
    async with Sandbox() as sandbox:
        for number in ("+32588235595", "+32588235596"):
            builder = (
                AnonymousMedTechApiBuilder()
                .with_icure_base_url(sandbox.icure_url)
                .with_msg_gw_url(sandbox.msg_gw_url)
                .with_msg_gw_spec_id(sandbox.spec_id)
                .with_auth_process_by_sms_id(sandbox.patient_process_by_sms_id)
            )
            if option == "meant":
                builder.with_in_memory_keys()
            if option == "files":
                builder.with_storage_directory(sys.argv[2])
            async with builder.build() as api:
                process = await api.authentication_api.start_authentication(
                    "captcha", phone_number=number, first_name="Ned", last_name="Stark",
                    healthcare_professional_id=sandbox.master_hcp.data_owner_id,
                )
                code = await sandbox.wait_for_code(number, timeout=10)
                result = await api.authentication_api.complete_authentication(process, code)
                await result.med_tech_api.aclose()

warnings.simplefilter("always")
asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize(("option", "expected"), [("none", 1), ("meant", 0), ("files", 0)])
def test_keys_in_memory_are_warned_of_once(option: str, expected: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, option, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("KeysInMemoryWarning") == expected
    assert done.stderr.count("with_storage_directory()") == expected
    # It names the line of the program, and none of the SDK's.
    assert (
        len(re.findall(r"^<string>:\d+: KeysInMemoryWarning", done.stderr, re.MULTILINE))
        == expected
    )


async def test_an_empty_storage_that_counts_as_false_is_used() -> None:
    class Counting(MemoryStorage):
        def __len__(self) -> int:
            return 0

    storage = Counting()
    keys = StorageKeyStorage(Counting())
    builder = MedTechApiBuilder().with_icure_base_url("https://example.org")
    builder.with_storage(storage).with_key_storage(keys).with_trust_on_first_use(_confirm)
    api = await builder.with_user_name("ned").with_password("secret").build()
    assert api._settings.storage is storage
    assert api._settings.key_storage is keys
    await api.aclose()


async def _confirm(question: object) -> bool:
    return True


_WATCHED_IMPORTS = """
import asyncio, sys, threading
from icure_async import AnonymousMedTechApiBuilder, MedTechApiBuilder

class Watch:
    def find_spec(self, name, path=None, target=None):
        in_loop = threading.current_thread() is threading.main_thread()
        print("loop" if in_loop else "thread", name)

def builder_of(name):
    if name == "anonymous":
        builder = AnonymousMedTechApiBuilder()
    else:
        builder = MedTechApiBuilder().with_user_name("ned").with_password("secret")
    return (
        builder.with_icure_base_url("https://example.org")
        .with_msg_gw_spec_id("ic")
        .with_auth_process_by_sms_id("process")
    )

async def main():
    async with builder_of(sys.argv[1]).build() as api:
        assert api.authentication_api

sys.meta_path.insert(0, Watch())
asyncio.run(main())
"""


@pytest.mark.parametrize("builder", ["anonymous", "logged in"])
def test_building_imports_nothing_of_the_sdk_in_the_event_loop(builder: str) -> None:
    output = subprocess.run(
        [sys.executable, "-c", _WATCHED_IMPORTS, builder],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert "thread icure_async.parts" in output
    assert "loop icure_async" not in output


# The flavour


def _settings_of(builder: MedTechApiBuilder) -> Settings:
    return builder.with_user_name("u").with_password("p")._settings()()


@pytest.mark.parametrize("version", ["", "/rest/v1", "/rest/v2"])
@pytest.mark.parametrize(("flavour", "root"), [("medtech", "/rest/v1"), ("cardinal", "/rest/v2")])
def test_the_flavour_decides_about_the_version_of_the_protocol(
    version: str, flavour: Flavour, root: str
) -> None:
    for builder in (
        MedTechApiBuilder().with_icure_base_url(URL + version).with_flavour(flavour),
        MedTechApiBuilder().with_flavour(flavour).with_icure_base_url(URL + version),
    ):
        settings = _settings_of(builder)
        assert settings.flavour == flavour
        assert settings.base_url == URL + root


def test_the_flavour_is_that_of_2023_unless_another_is_chosen() -> None:
    settings = _settings_of(MedTechApiBuilder().with_icure_base_url(URL))
    assert (settings.flavour, settings.project_id, settings.group_id) == ("medtech", None, None)


def test_project_and_group_of_todays_flavour_are_kept() -> None:
    builder = MedTechApiBuilder().with_icure_base_url(URL).with_flavour("cardinal")
    settings = _settings_of(builder.with_project_id("p-1").with_group_id("g-1"))
    assert (settings.project_id, settings.group_id) == ("p-1", "g-1")


@pytest.mark.parametrize("value", ["", "  ", "a ", "..", None, 5])
@pytest.mark.parametrize("method", ["with_project_id", "with_group_id"])
def test_ids_of_projects_and_groups_that_can_not_be_are_refused(method: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=method):
        getattr(MedTechApiBuilder(), method)(value)


@pytest.mark.parametrize("value", ["Cardinal ", "v2", "", None, ["cardinal"]])
def test_another_flavour_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"with_flavour\(\) needs 'medtech' or 'cardinal'"):
        MedTechApiBuilder().with_flavour(value)


@pytest.mark.parametrize("method", ["with_project_id", "with_group_id"])
def test_options_of_todays_flavour_are_not_left_unused_in_that_of_2023(method: str) -> None:
    builder = MedTechApiBuilder().with_icure_base_url(URL)
    getattr(builder, method)("id")
    with pytest.raises(ConfigurationError, match=rf"{method}\(\) needs with_flavour"):
        builder.with_user_name("u").with_password("p").build()


def test_todays_flavour_has_no_basic_authentication() -> None:
    builder = MedTechApiBuilder().with_icure_base_url(URL).with_flavour("cardinal")
    with pytest.raises(ConfigurationError, match=r"prevent_cookie_usage\(\) can't be combined"):
        builder.prevent_cookie_usage().with_user_name("u").with_password("p").build()


def test_flavour_project_and_group_are_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ICURE_URL", URL)
    monkeypatch.setenv("ICURE_FLAVOUR", "Cardinal\n")
    monkeypatch.setenv("ICURE_PROJECT_ID", "p-1")
    monkeypatch.setenv("ICURE_GROUP_ID", "g-1")
    settings = _settings_of(MedTechApiBuilder.from_env())
    assert (settings.flavour, settings.project_id, settings.group_id) == ("cardinal", "p-1", "g-1")


@pytest.mark.parametrize(
    ("name", "value"),
    [("ICURE_FLAVOUR", "v2"), ("ICURE_PROJECT_ID", ".."), ("ICURE_GROUP_ID", "..")],
)
def test_a_malformed_variable_of_todays_flavour_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICURE_URL", URL)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{name} is malformed"):
        MedTechApiBuilder.from_env()


def test_from_env_names_all_missing_variables_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ICURE_", "AUTH_BY_", "SPEC_"))]:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError) as caught:
        AnonymousMedTechApiBuilder.from_env(user_type="patient")
    assert str(caught.value) == (
        "These environment variables are missing: ICURE_URL, SPEC_ID, "
        "AUTH_BY_EMAIL_PATIENT_PROCESS_ID or AUTH_BY_SMS_PATIENT_PROCESS_ID: set them."
    )
