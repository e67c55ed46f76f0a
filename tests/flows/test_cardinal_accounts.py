"""Accounts in today's flavour, with the sandbox: logins, groups, contacts, passwords, tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from icure_async import (
    HealthcareProfessional,
    MedicalDevice,
    MedTechApi,
    MedTechApiBuilder,
    User,
    UserFilter,
)
from icure_async.errors import (
    AuthenticationError,
    ConfigurationError,
    ElevationRequiredError,
    NotFoundError,
    SecondFactorRequiredError,
    UserExistsError,
    ValidationError,
)
from icure_async.sandbox import Fault, Sandbox, totp
from tests.support.builders import builder_for
from tests.support.request_log import RequestLog

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DP"
PASSWORD, NEW_PASSWORD = "sansa-sansa-sansa", "winter-is-coming"

Make = Callable[..., MedTechApiBuilder]


@pytest.fixture(autouse=True)
def _shortcuts(keys_made_once: None, cheap_hashes: None, no_pauses: None) -> None:
    """These tests start many sandboxes."""


@pytest.fixture
def cardinal(sandbox: Sandbox) -> Make:
    def make(login: str | None = None, secret: str | None = None) -> MedTechApiBuilder:
        master = sandbox.master_hcp
        return builder_for(
            sandbox.icure_url, login or master.login, secret or master.password
        ).with_flavour("cardinal")

    return make


async def new_user(api: MedTechApi, **members: Any) -> User:
    return await api.user_api.create_or_modify_user(
        User(**{"login": "sansa", "email": "sansa@winterfell.example", **members})
    )


async def new_professional_user(api: MedTechApi, **members: Any) -> User:
    professional = await api.healthcare_professional_api.create_or_modify_healthcare_professional(
        HealthcareProfessional(first_name="Sansa", last_name="Stark")
    )
    return await new_user(
        api, healthcare_party_id=professional.id, password_hash=PASSWORD, **members
    )


async def test_a_user_logs_in_and_is_known(sandbox: Sandbox, cardinal: Make) -> None:
    async with cardinal().build() as api:
        assert (await api.user_api.get_logged_user()).id == sandbox.master_hcp.user_id
        assert await api.identify() == (sandbox.master_hcp.user_id, "sandbox")


@pytest.mark.parametrize("version", ["/rest/v1", "/rest/v2", ""])
async def test_the_url_may_name_either_version(sandbox: Sandbox, version: str) -> None:
    master = sandbox.master_hcp
    root = sandbox.icure_url.removesuffix("/rest/v1")
    builder = builder_for(root + version, master.login, master.password).with_flavour("cardinal")
    async with builder.build() as api:
        assert (await api.user_api.get_logged_user()).id == master.user_id


async def test_a_wrong_password_is_refused(sandbox: Sandbox, cardinal: Make) -> None:
    async with cardinal(sandbox.master_hcp.login, "wrong-wrong").build() as api:
        with pytest.raises(AuthenticationError, match="user name, password, token or code"):
            await api.user_api.get_logged_user()


async def test_users_are_created_found_changed_and_deleted(cardinal: Make) -> None:
    async with cardinal().build() as api:
        created = await new_professional_user(api)
        assert created.rev
        found = [user.id async for user in api.user_api.filter_users(UserFilter())]
        assert created.id in found
        assert created.id in await api.user_api.match_users()
        by_email = await api.user_api.get_user_by_email("sansa@winterfell.example")
        assert by_email.id == created.id
        by_email.name = "Sansa"
        changed = await api.user_api.create_or_modify_user(by_email)
        assert (changed.name, changed.email) == ("Sansa", "sansa@winterfell.example")
        assert await api.user_api.delete_user(created.id) == created.id
        with pytest.raises(NotFoundError):
            await api.user_api.delete_user("unknown")
    async with cardinal("sansa", PASSWORD).build() as api:
        with pytest.raises(AuthenticationError):
            await api.user_api.get_logged_user()


async def test_a_login_that_is_taken_is_named(cardinal: Make) -> None:
    async with cardinal().build() as api:
        await new_professional_user(api)
        with pytest.raises(UserExistsError) as caught:
            await new_professional_user(api)
        assert caught.value.member == "login"


async def test_the_own_contacts_and_password_change_and_the_session_goes_on(
    cardinal: Make,
) -> None:
    async with cardinal().build() as api:
        await new_professional_user(api, login="sansa@winterfell.example")
    async with cardinal("sansa@winterfell.example", PASSWORD).build() as api:
        changed = await api.user_api.change_email("sansa@vale.example")
        assert (changed.email, changed.login) == ("sansa@vale.example", "sansa@vale.example")
        assert (await api.user_api.change_phone_number("+32471000000")).mobile_phone
        await api.user_api.change_password(NEW_PASSWORD)
        assert api._session.user_name == "sansa@vale.example"
        assert (await api.user_api.get_logged_user()).email == "sansa@vale.example"
    async with cardinal("sansa@vale.example", NEW_PASSWORD).build() as api:
        assert (await api.user_api.get_logged_user()).email == "sansa@vale.example"
    async with cardinal("sansa@vale.example", PASSWORD).build() as api:
        with pytest.raises(AuthenticationError):
            await api.user_api.get_logged_user()


async def test_a_password_in_a_saved_user_is_stored(cardinal: Make) -> None:
    async with cardinal().build() as api:
        user = await new_professional_user(api)
        user.password_hash, user.name = NEW_PASSWORD, "Sansa"
        assert (await api.user_api.create_or_modify_user(user)).name == "Sansa"
    async with cardinal("sansa", NEW_PASSWORD).build() as api:
        assert (await api.user_api.get_logged_user()).name == "Sansa"


async def test_tokens_are_created_listed_renewed_and_revoked(cardinal: Make) -> None:
    async with cardinal().build() as api:
        await new_professional_user(api)
    async with cardinal("sansa", PASSWORD).build() as api:
        token = await api.user_api.create_token(validity=timedelta(days=30), name="phone")
        assert [one.name for one in await api.user_api.list_tokens()] == ["phone"]
    async with cardinal("sansa", token).build() as api:
        renewed = await api.user_api.renew_token(validity=timedelta(days=30))
        assert renewed.replaced_key is not None
        assert await api.user_api.revoke_token(renewed.replaced_key)
        assert (await api.logout()).token_revoked
    for secret in (token, renewed.token):
        async with cardinal("sansa", secret).build() as api:
            with pytest.raises(AuthenticationError):
                await api.user_api.get_logged_user()


async def test_a_logout_ends_the_refresh_token_too(
    cardinal: Make, requests: RequestLog, client_session: aiohttp.ClientSession
) -> None:
    async with cardinal().with_client_session(client_session).build() as api:
        await api.user_api.get_logged_user()
        tokens = api._session._tokens
        assert tokens is not None
        assert tokens.refresh is not None
        requests.take()
        await api.logout()
        assert requests.take()[-1] == "POST /rest/v2/auth/invalidate"
        url = api._settings.base_url + "/auth/refresh"
    headers = {"Refresh-Token": tokens.refresh.text}
    async with client_session.post(url, headers=headers) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_a_logout_succeeds_where_the_refresh_token_can_not_be_ended(
    sandbox: Sandbox, cardinal: Make, status: int
) -> None:
    async with cardinal().build() as api:
        token = await api.user_api.create_token(validity=timedelta(days=1))
    sandbox.inject_fault(Fault(path="*/auth/invalidate", kind="status", status=status))
    async with cardinal(sandbox.master_hcp.login, token).build() as api:
        assert (await api.logout()).token_revoked


async def test_a_long_lived_token_changes_no_password(cardinal: Make) -> None:
    async with cardinal().build() as api:
        await new_professional_user(api)
    async with cardinal("sansa", PASSWORD).build() as api:
        token = await api.user_api.create_token(validity=timedelta(days=30))
    async with cardinal("sansa", token).build() as api:
        with pytest.raises(ElevationRequiredError, match="a password or better") as caught:
            await api.user_api.change_password(NEW_PASSWORD)
        assert (caught.value.required_level, caught.value.current_level) == (20, 10)
        assert token not in str(caught.value)
        assert NEW_PASSWORD not in str(caught.value)
        assert [one.secret for one in api._session.credentials.candidates] == [token]
        with pytest.raises(ElevationRequiredError):
            await api.user_api.change_email("sansa@vale.example")
        user = await api.user_api.get_logged_user()
        assert (user.email, user.login) == ("sansa@winterfell.example", "sansa")
    async with cardinal("sansa", PASSWORD).build() as api:
        await api.user_api.change_password(NEW_PASSWORD)


async def test_the_second_factor_is_switched_on_and_off(sandbox: Sandbox, cardinal: Make) -> None:
    async with cardinal().build() as api:
        await new_professional_user(api)

    async def code() -> str:
        return await sandbox.second_factor_code("sansa")

    async with cardinal("sansa", PASSWORD).build() as api:
        now = api._settings.clock()
        await api.user_api.enable_second_factor(
            f"{SECRET[:4]} {SECRET[4:].lower()}", totp.code_at(SECRET, now)
        )
        assert (await api.user_api.get_logged_user()).id
    async with cardinal("sansa", PASSWORD).build() as api:
        with pytest.raises(SecondFactorRequiredError):
            await api.user_api.get_logged_user()
    async with cardinal("sansa", PASSWORD).with_second_factor(code).build() as api:
        assert (await api.user_api.get_logged_user()).id
        await api.user_api.disable_second_factor()
    async with cardinal("sansa", PASSWORD).build() as api:
        assert (await api.user_api.get_logged_user()).id


@pytest.mark.parametrize(
    ("secret", "code", "algorithm"),
    [
        ("short", "123456", "SHA1"),
        (None, "123456", "SHA1"),
        (SECRET, "12", "SHA1"),
        (SECRET, 123456, "SHA1"),
        (SECRET, "123456", "MD5"),
    ],
)
async def test_a_malformed_second_factor_is_refused_before_anything_is_sent(
    cardinal: Make, secret: Any, code: Any, algorithm: Any
) -> None:
    async with cardinal("nobody", "nothing-nothing").build() as api:
        with pytest.raises(ValidationError) as caught:
            await api.user_api.enable_second_factor(secret, code, algorithm=algorithm)
    assert SECRET not in str(caught.value)
    assert "123456" not in str(caught.value)


async def test_professionals_and_devices_are_created_changed_and_deleted(cardinal: Make) -> None:
    async with cardinal().build() as api:
        professionals = api.healthcare_professional_api
        one = await professionals.create_or_modify_healthcare_professional(
            HealthcareProfessional(first_name="Sansa", last_name="Stark")
        )
        one.speciality = "politics"
        changed = await professionals.create_or_modify_healthcare_professional(one)
        assert changed.speciality == "politics"
        assert (await professionals.get_healthcare_professionals([one.id]))[0].rev == changed.rev
        assert one.id in await professionals.match_healthcare_professional_by()
        await professionals.delete_healthcare_professional(one.id)
        other = await professionals.create_or_modify_healthcare_professional(
            HealthcareProfessional(first_name="Arya", last_name="Stark")
        )
        assert await professionals.delete_healthcare_professionals([other.id]) == [other.id]

        devices = api.medical_device_api
        device = await devices.create_or_modify_medical_device(MedicalDevice(name="scale"))
        device.brand = "Iron"
        assert (await devices.create_or_modify_medical_device(device)).brand == "Iron"
        more = await devices.create_or_modify_medical_devices(
            [MedicalDevice(name="one"), MedicalDevice(name="two")]
        )
        more.raise_for_failures()
        ids = [device.id, *(one.id for one in more.saved)]
        assert len(ids) == 3
        assert {one.id for one in await devices.get_medical_devices(ids)} == set(ids)
        assert await devices.delete_medical_device(device.id) == device.id
        assert await devices.delete_medical_devices(ids[1:]) == ids[1:]


async def test_new_data_is_shared_automatically_with_those_that_the_user_chose(
    cardinal: Make,
) -> None:
    async with cardinal().build() as api:
        user = await new_professional_user(api)
        colleague = str(user.healthcare_party_id)
        async with cardinal("sansa", PASSWORD).with_in_memory_keys().build() as sansa:
            await sansa.init_user_crypto()
        await api.user_api.share_all_future_data_with([colleague], "all")
        me = await api.user_api.get_logged_user()
        assert me.sharing_data_with == {"all": [colleague]}
        await api.user_api.stop_sharing_data_with([colleague], "all")
        assert not (await api.user_api.get_logged_user()).sharing_data_with.get("all")


# Groups


async def test_a_user_of_two_groups_chooses_one(sandbox: Sandbox, cardinal: Make) -> None:
    seed = {
        "entities": {"user": {"arya-north": {"id": "arya-north", "login": "arya"}}},
        "tokens": {"arya-north": ["needle-needle"]},
        "groups": {
            "south": {
                "name": "King's Landing",
                "entities": {"user": {"arya-south": {"id": "arya-south", "login": "arya"}}},
                "tokens": {"arya-south": ["needle-needle"]},
            }
        },
    }
    async with Sandbox(seed=seed) as sandbox:

        def build() -> MedTechApiBuilder:
            url = sandbox.icure_url
            return builder_for(url, "arya", "needle-needle").with_flavour("cardinal")

        async with build().build() as api:
            with pytest.raises(ConfigurationError, match=r"with_group_id\(\).*King's Landing"):
                await api.user_api.get_logged_user()
        async with build().with_group_id("south").build() as api:
            assert (await api.user_api.get_logged_user()).id == "arya-south"
            assert await api.identify() == ("arya-south", "south")
        async with build().with_group_id("east").build() as api:
            with pytest.raises(ConfigurationError, match="not in the group 'east'"):
                await api.user_api.get_logged_user()
