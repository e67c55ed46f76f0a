"""The report on keys: where they are, what leads to them, and what is half-done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from icure_async import KeyPair, KeyReport, MedTechApi, PublishedKey
from icure_async.errors import CryptoError, KeyPairNotFoundError, NetworkError
from icure_async.models.key_pair import fingerprint_of
from icure_async.sandbox import Sandbox
from icure_async.storage import FileKeyStorage, MemoryKeyStorage, MemoryStorage
from tests.support.golden_sandbox import Backend, Opener, confirm_all
from tests.support.json_proxy import ConnectionLostError, Proxy
from tests.support.key_material import forge
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, add_hcp, add_patient, add_user, key_pair_of, stage

Ned = Callable[..., Any]


@pytest.fixture
def ned_id(world: Json) -> str:
    return str(world["users"]["ned"]["dataOwnerId"])


@pytest.fixture
def hcp_id(world: Json) -> str:
    return str(world["users"]["hcp"]["dataOwnerId"])


@pytest.fixture
def arya_id(world: Json) -> str:
    return str(world["users"]["arya"]["dataOwnerId"])


@pytest.fixture
def old(world: Json) -> KeyPair:
    return key_pair_of(world, "ned")


@pytest.fixture
def ned(world: Json, opener: Opener) -> Ned:
    """Ned on a device, before ``init_user_crypto``."""
    user = world["users"]["ned"]

    async def open_api(**options: Any) -> MedTechApi:
        return await opener.plain(user["login"], user["token"], **options)

    return open_api


@pytest.fixture
def unchanged(sandbox: Sandbox, requests: RequestLog) -> Any:
    """Within this, nothing is written to the backend, nor to the storages given."""

    @asynccontextmanager
    async def check(*storages: MemoryKeyStorage) -> AsyncIterator[None]:
        async def state() -> Any:
            items = [
                {
                    name: await keys.storage.get_item(name)
                    for name in await keys.storage.list_items()
                }
                for keys in storages
            ]
            return items, (await sandbox.export())["entities"]

        before = await state()
        requests.take()
        yield
        sent = {line for line in requests.take() if not line.startswith("GET ")}
        assert sent <= {"POST /rest/v1/auth/login"}
        assert await state() == before

    return check


async def _examine(api: MedTechApi) -> KeyReport:
    return await api.data_owner_api.examine_keys()


async def _keys_of(owner_id: str, *pairs: KeyPair) -> MemoryKeyStorage:
    keys = MemoryKeyStorage()
    for pair in pairs:
        await keys.store_key_pair(owner_id, pair)
    return keys


async def test_a_healthy_device_has_no_problem(
    ned: Ned, ned_id: str, hcp_id: str, arya_id: str, old: KeyPair, unchanged: Any
) -> None:
    keys = await _keys_of(ned_id, old)
    async with unchanged(keys):
        report = await _examine(await ned(key_storage=keys))
    assert report == KeyReport(
        data_owner_id=ned_id,
        data_owner_type="patient",
        keys=(PublishedKey(fingerprint=old.fingerprint, status="on_device"),),
        correspondents=report.correspondents,
    )
    assert set(report.correspondents) == {hcp_id, arya_id}
    assert report.problems == []


async def test_a_missing_key_is_reported_where_init_user_crypto_refuses(
    ned: Ned, ned_id: str, hcp_id: str, arya_id: str, old: KeyPair, unchanged: Any
) -> None:
    api = await ned(key_storage=(keys := MemoryKeyStorage()))
    with pytest.raises(KeyPairNotFoundError):
        await api.init_user_crypto()
    async with unchanged(keys):
        report = await _examine(api)
    (key,) = report.keys
    assert (key.fingerprint, key.status, key.led_to_by) == (old.fingerprint, "missing", ())
    assert set(key.helpers) == {hcp_id, arya_id}
    # To itself, to the professional, and back from the two others.
    assert key.only_opens >= 3
    (problem,) = report.problems
    for said in (old.fingerprint, hcp_id, arya_id, "import_keys()", "export_keys()"):
        assert said in problem
    assert "log in with a new key pair" in problem


async def test_with_a_new_key_here_the_way_back_is_to_that(
    ned: Ned, hcp_id: str, arya_id: str, old: KeyPair
) -> None:
    api = await ned()
    (new,) = await api.init_user_crypto(missing_key="allow")
    (problem,) = (text for text in (await _examine(api)).problems if old.fingerprint in text)
    assert f"have access given back to the key pair {new.fingerprint} by" in problem
    assert "log in with a new key pair" not in problem


async def test_what_a_key_here_leads_to_is_recoverable_and_not_stored(
    ned: Ned, ned_id: str, old: KeyPair, unchanged: Any
) -> None:
    second = await ned(public_key_policy=confirm_all)
    (new,) = await second.init_user_crypto(missing_key="allow")
    keys = await _keys_of(ned_id, old)
    first = await ned(key_storage=keys)
    async with unchanged(keys):
        report = await _examine(first)
    assert report.keys == (
        PublishedKey(fingerprint=old.fingerprint, status="on_device"),
        PublishedKey(
            fingerprint=new.fingerprint, status="recoverable", led_to_by=(old.fingerprint,)
        ),
    )
    assert report.problems == []
    await first.init_user_crypto()
    assert {key.status for key in (await _examine(first)).keys} == {"on_device"}


async def test_a_chain_of_transfer_keys_is_followed(
    ned: Ned, ned_id: str, old: KeyPair, backend: Backend, unchanged: Any
) -> None:
    confident = {"public_key_policy": confirm_all}
    (second,) = await (await ned(**confident)).init_user_crypto(missing_key="allow")
    (third,) = await (await ned(**confident)).init_user_crypto(missing_key="allow")
    # Without the short way, from the first to the third.
    transfer_keys = (await backend.patient(ned_id))["transferKeys"]
    del transfer_keys[old.public_key][third.public_key]
    await backend.change(ned_id, transferKeys=transfer_keys)
    api = await ned(key_storage=await _keys_of(ned_id, old))

    report = await _examine(api)
    by_fingerprint = {key.fingerprint: key for key in report.keys}
    assert by_fingerprint[third.fingerprint].status == "recoverable"
    assert by_fingerprint[third.fingerprint].led_to_by == (second.fingerprint, old.fingerprint)

    lost = await _examine(await ned())
    assert {key.status for key in lost.keys} == {"missing"}
    assert f"{second.fingerprint} or {old.fingerprint}" in "\n".join(lost.problems)


async def test_a_damaged_transfer_key_leads_nowhere(
    ned: Ned, ned_id: str, old: KeyPair, backend: Backend
) -> None:
    (new,) = await (await ned(public_key_policy=confirm_all)).init_user_crypto(missing_key="allow")
    transfer_keys = (await backend.patient(ned_id))["transferKeys"]
    transfer_keys[old.public_key][new.public_key] = "00" * 48
    await backend.change(ned_id, transferKeys=transfer_keys)
    api = await ned(key_storage=await _keys_of(ned_id, old))
    statuses = [key.status for key in (await _examine(api)).keys]
    assert statuses == ["on_device", "missing"]


async def _plant(backend: Backend, owner_id: str, public_key: str) -> None:
    """Publish a key for somebody, as only a backend can."""
    exchange_keys = (await backend.patient(owner_id))["aesExchangeKeys"]
    await backend.change(owner_id, aesExchangeKeys={**exchange_keys, public_key: {}})


async def test_a_published_key_that_nobody_here_knows_is_named(
    world: Json, ned: Ned, ned_id: str, old: KeyPair, backend: Backend
) -> None:
    planted = key_pair_of(world, "arya").public_key
    await _plant(backend, ned_id, planted)
    report = await _examine(await ned(key_storage=await _keys_of(ned_id, old)))
    assert [(key.public_key, key.status) for key in report.keys] == [
        (old.public_key, "on_device"),
        (planted, "missing"),
    ]
    assert report.unknown == (fingerprint_of(planted),)


async def test_a_key_with_the_fingerprint_of_one_that_is_here_is_another_one(
    ned: Ned, ned_id: str, old: KeyPair, backend: Backend
) -> None:
    forged = forge(old.public_key).public_key
    exchange_keys = (await backend.patient(ned_id))["aesExchangeKeys"]
    exchange_keys[forged] = exchange_keys.pop(old.public_key)
    await backend.change(ned_id, publicKey=forged, aesExchangeKeys=exchange_keys)
    report = await _examine(await ned(key_storage=await _keys_of(ned_id, old)))
    assert [(key.public_key, key.status) for key in report.keys] == [(forged, "missing")]
    assert report.unknown == (old.fingerprint,)


async def test_what_is_no_public_key_at_all_is_malformed_and_stays_on_its_line(
    ned: Ned, ned_id: str, old: KeyPair, backend: Backend
) -> None:
    await _plant(backend, ned_id, "ff" * 30 + "\nERROR forged \x1b[2J")
    report = await _examine(await ned(key_storage=await _keys_of(ned_id, old)))
    assert [key.status for key in report.keys] == ["on_device", "malformed"]
    assert report.unknown == ()
    said = [*(key.fingerprint for key in report.keys), *report.problems]
    assert all(text.isprintable() for text in said)


async def test_after_access_was_given_back_the_lost_key_is_needed_less(
    ned: Ned, opener: Opener, old: KeyPair, hcp_id: str, arya_id: str
) -> None:
    hcp = await opener.golden("hcp")
    api = await ned()
    (new,) = await api.init_user_crypto(missing_key="allow")
    before = (await _examine(api)).keys[0]
    assert (before.fingerprint, before.status) == (old.fingerprint, "missing")
    assert set(before.helpers) == {hcp_id, arya_id}
    given = await hcp.data_owner_api.give_access_back_to(
        (await _examine(api)).data_owner_id, new.public_key
    )
    after = (await _examine(api)).keys[0]
    assert set(after.helpers) == {arya_id}
    assert after.only_opens == before.only_opens - given.given

    first = await ned(key_storage=await _keys_of(given.data_owner_id, old))
    await first.init_user_crypto()
    await first.data_owner_api.give_access_back_to(given.data_owner_id, new.public_key)
    assert [key.status for key in (await _examine(api)).keys] == ["recoverable", "on_device"]


def test_a_lost_key_that_opens_nothing_more_is_no_problem() -> None:
    lost = PublishedKey(fingerprint="a" * 32, status="missing")
    here = PublishedKey(fingerprint="b" * 32, status="on_device")
    report = KeyReport(data_owner_id="me", data_owner_type="hcparty", keys=(lost, here))
    assert report.problems == []
    alone = KeyReport(data_owner_id="me", data_owner_type="hcparty", keys=(lost,))
    assert len(alone.problems) == 1


async def test_notaries_are_named(ned: Ned, ned_id: str, hcp_id: str, old: KeyPair) -> None:
    api = await ned(key_storage=await _keys_of(ned_id, old))
    await api.init_user_crypto()
    await api.data_owner_api.split_private_key_among([hcp_id])
    report = await _examine(await ned())
    assert report.notaries == (hcp_id,)
    assert f"ask the notaries ({hcp_id})" in report.problems[0]


async def test_notices_that_were_not_sent_are_reported(
    ned: Ned, ned_id: str, proxy: Proxy, no_pauses: None
) -> None:
    for _ in range(9):
        proxy.lose("POST /maintenancetask")
    storage = MemoryStorage()
    keys = MemoryKeyStorage()
    api = await ned(key_storage=keys, storage=storage, url=proxy.url)
    (new,) = await api.init_user_crypto(missing_key="allow")
    report = await _examine(api)
    assert report.outstanding_notices == (new.fingerprint,)
    assert any("Not everybody has been told" in problem for problem in report.problems)


async def test_a_pair_that_is_not_published_is_reported(
    ned: Ned, ned_id: str, old: KeyPair, world: Json
) -> None:
    pending = key_pair_of(world, "arya")
    keys = await _keys_of(ned_id, old, pending)
    report = await _examine(await ned(key_storage=keys))
    assert report.pending == (pending.fingerprint,)
    assert [key.status for key in report.keys] == ["on_device"]
    (problem,) = report.problems
    assert pending.fingerprint in problem


class TestHalfInitialised:
    @pytest.fixture
    def seed(self, world: Json, old: KeyPair) -> Json:
        seed = stage(world)
        add_patient(seed, "bran")
        add_patient(seed, "rickon", {"publicKey": old.public_key})
        add_hcp(seed, "luwin")
        seed["entities"]["hcparty"]["hcp-luwin"]["publicKey"] = "00" * 294
        add_user(seed, "hodor")
        return seed

    async def test_a_user_who_never_logged_in_has_no_problem(
        self, opener: Opener, unchanged: Any
    ) -> None:
        keys = MemoryKeyStorage()
        api = await opener.plain("bran", key_storage=keys)
        async with unchanged(keys):
            report = await _examine(api)
        assert report == KeyReport(data_owner_id="patient-bran", data_owner_type="patient")
        assert report.problems == []

    async def test_a_pair_left_by_a_first_login_that_broke_off_is_reported(
        self, opener: Opener, proxy: Proxy, no_pauses: None
    ) -> None:
        keys = MemoryKeyStorage()
        api = await opener.plain("bran", key_storage=keys, url=proxy.url)
        proxy.before("PUT /patient", _lose)
        with pytest.raises(NetworkError):
            await api.init_user_crypto()
        (pending,) = await keys.list_key_pairs("patient-bran")
        report = await _examine(api)
        assert (report.keys, report.pending) == ((), (pending.fingerprint,))
        assert "init_user_crypto()" in report.problems[0]
        assert await api.init_user_crypto() == [pending]
        assert (await _examine(api)).problems == []

    async def test_a_patient_without_self_delegation_is_reported_until_repaired(
        self, opener: Opener, old: KeyPair
    ) -> None:
        keys = await _keys_of("patient-rickon", old)
        api = await opener.plain("rickon", key_storage=keys)
        report = await _examine(api)
        assert report.lacks_self_delegation
        assert [key.status for key in report.keys] == ["on_device"]
        (problem,) = report.problems
        assert "no delegation to itself" in problem
        await api.init_user_crypto()
        assert (await _examine(api)).problems == []

    async def test_a_public_key_that_is_none_is_reported(self, opener: Opener) -> None:
        report = await _examine(await opener.plain("luwin"))
        (key,) = report.keys
        assert key.status == "malformed"
        assert "no RSA public key" in report.problems[0]

    async def test_a_user_without_data_owner_is_told(self, opener: Opener) -> None:
        with pytest.raises(CryptoError, match="not a data owner"):
            await _examine(await opener.plain("hodor"))


async def _lose(_: Any) -> None:
    raise ConnectionLostError


@pytest.mark.parametrize("content", ["", "{", '{"publicKey":{},"privateKey":{}}'])
async def test_a_broken_key_file_is_reported_and_left_alone(
    ned: Ned, ned_id: str, old: KeyPair, tmp_path: Path, content: str
) -> None:
    file = tmp_path / f"{ned_id}.{old.fingerprint}"
    file.write_text(content)
    file.chmod(0o600)
    report = await _examine(await ned(key_storage=FileKeyStorage(tmp_path)))
    assert [key.status for key in report.keys] == ["missing"]
    (unreadable,) = report.unreadable
    assert file.name in unreadable
    assert unreadable in report.problems
    assert file.read_text() == content


async def test_an_exposed_key_file_is_reported(
    ned: Ned, ned_id: str, old: KeyPair, tmp_path: Path
) -> None:
    keys = FileKeyStorage(tmp_path)
    await keys.store_key_pair(ned_id, old)
    (tmp_path / f"{ned_id}.{old.fingerprint}").chmod(0o640)
    report = await _examine(await ned(key_storage=keys))
    (unreadable,) = report.unreadable
    assert "chmod 600" in unreadable


async def test_the_report_shows_no_secret(
    ned: Ned, ned_id: str, old: KeyPair, caplog: pytest.LogCaptureFixture
) -> None:
    report = await _examine(await ned(key_storage=await _keys_of(ned_id, old)))
    for text in (repr(report), caplog.text):
        assert old.private_key[-64:] not in text


async def test_exchange_keys_in_the_legacy_form_count_once(
    ned: Ned, ned_id: str, backend: Backend, old: KeyPair
) -> None:
    report = await _examine(await ned())
    stored = await backend.patient(ned_id)
    assert stored["hcPartyKeys"].keys() & stored["aesExchangeKeys"][old.public_key].keys()
    await backend.change(ned_id, hcPartyKeys={})
    assert (await _examine(await ned())).keys == report.keys
