"""Explanations for callers who write as in TypeScript, or use an API before it is built."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import icure_async
import icure_sync
from icure_async import (
    AnonymousMedTechApiBuilder,
    CodingFilter,
    DataSampleFilter,
    HealthcareElementFilter,
    HealthcareProfessionalFilter,
    KeyPair,
    MedicalDeviceFilter,
    MedTechApiBuilder,
    NotificationFilter,
    Patient,
    PatientFilter,
    UserFilter,
)
from icure_async.authentication.process import AuthenticationProcess
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import (
    ConfigurationError,
    ICureError,
    NotFoundError,
    UnknownNameError,
    ValidationError,
    WrongArgumentsError,
)
from icure_async.models import (
    Address,
    Coding,
    Content,
    DataSample,
    HealthcareElement,
    Measure,
    Notification,
    User,
)
from icure_async.models.validation import validate_patient_for_saving
from icure_async.sandbox import Sandbox


def anonymous(package: Any) -> Any:
    return (
        package.AnonymousMedTechApiBuilder()
        .with_icure_base_url("http://127.0.0.1:9")
        .with_msg_gw_spec_id("ic")
        .with_auth_process_by_sms_id("sms")
    )


def logged_in(package: Any) -> Any:
    return (
        package.MedTechApiBuilder()
        .with_icure_base_url("http://127.0.0.1:9")
        .with_user_name("ned")
        .with_password("winter")
    )


def shows_plumbing(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return any(
        Path(frame.filename).parts[-2:] == ("icure_async", "mistakes.py") for frame in frames
    )


def run(coroutine: Any) -> None:
    """Run what a method of either package gives, if it gives anything."""
    asyncio.run(coroutine)


# Arguments


POSITIONAL: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "start": (
        lambda api, _: api.authentication_api.start_authentication("c", True, "ned@w.example"),
        r"start_authentication\(\) takes only recaptcha by position.*email=, phone_number=",
    ),
    "start in camelCase": (
        lambda api, _: api.authentication_api.start_authentication("c", phoneNumber="+32470123456"),
        "no argument 'phoneNumber'. Did you mean 'phone_number'",
    ),
    "complete": (
        lambda api, _: api.authentication_api.complete_authentication("p", "123456", 60),
        "takes only process, validation_code by position.*token_validity=",
    ),
    "nothing": (
        lambda api, _: api.authentication_api.complete_authentication(),
        "needs process",
    ),
    "init": (
        lambda _, api: api.init_user_crypto(None, "allow"),
        "takes only key_pair by position.*missing_key=, parent_key_pairs=, recovery_key=, find_ke",
    ),
    "page size": (
        lambda _, api: api.notification_api.filter_notifications(None, 10),
        "takes only notification_filter by position.*page_size=",
    ),
    "token": (
        lambda _, api: api.user_api.create_token(60),
        "takes nothing by position.*validity=, name=",
    ),
}


@pytest.mark.parametrize("call", POSITIONAL)
async def test_mistaken_arguments_are_explained(call: str) -> None:
    mistake, said = POSITIONAL[call]
    async with anonymous(icure_async).build() as api, logged_in(icure_async).build() as user:
        with pytest.raises(WrongArgumentsError, match=said) as caught:
            await mistake(api, user)
    assert not shows_plumbing(caught.value)
    assert "ned@w.example" not in str(caught.value)


@pytest.mark.parametrize("call", POSITIONAL)
def test_mistaken_arguments_of_blocking_calls_are_explained(call: str) -> None:
    mistake, said = POSITIONAL[call]
    with (
        anonymous(icure_sync).build() as api,
        logged_in(icure_sync).build() as user,
        pytest.raises(WrongArgumentsError, match=said) as caught,
    ):
        mistake(api, user)
    assert not shows_plumbing(caught.value)


@pytest.mark.parametrize("package", [icure_async, icure_sync], ids=["async", "sync"])
def test_every_public_method_with_keywords_explains_them(package: Any) -> None:
    """Every public method, also those added later: a call without its object is a mistake."""
    checked = 0
    for name in package.__all__:
        cls = getattr(package, name)
        if not isinstance(cls, type) or not name.endswith(("Api", "Builder")):
            continue
        for member, value in inspect.getmembers_static(cls):
            function = getattr(value, "__func__", value)
            if member.startswith("_") or not inspect.isfunction(function):
                continue
            kinds = {p.kind for p in inspect.signature(function).parameters.values()}
            if inspect.Parameter.KEYWORD_ONLY not in kinds:
                continue
            checked += 1
            with pytest.raises(WrongArgumentsError, match=f"{member}.. has no argument 'wrong'"):
                run(function(cls, wrong=1))
    assert checked >= 9


def test_a_type_error_of_the_callers_own_code_stays_what_it_is() -> None:
    def policy() -> None: ...

    builder = logged_in(icure_async)
    with pytest.raises(ICureError):
        MedTechApiBuilder.from_env(user_type=policy)  # type: ignore[arg-type]
    with pytest.raises(TypeError) as caught:
        builder.with_user_name()
    assert not isinstance(caught.value, ICureError)


def test_models_explain_their_arguments() -> None:
    make: Any = Patient
    with pytest.raises(WrongArgumentsError, match="Did you mean 'first_name'"):
        make(firstName="Ned")
    with pytest.raises(WrongArgumentsError, match="Did you mean 'first_name'"):
        make(first_nme="Ned")
    with pytest.raises(WrongArgumentsError, match="by position"):
        make("Ned")
    with pytest.raises(WrongArgumentsError, match="Did you mean 'last_name'"):
        Patient(first_name="Ned").evolve(lastName="Stark")


@pytest.mark.parametrize("package", [icure_async, icure_sync], ids=["async", "sync"])
def test_the_encrypted_storage_explains_its_arguments(package: Any, tmp_path: Path) -> None:
    with pytest.raises(WrongArgumentsError, match="passphrase="):
        package.storage.EncryptedKeyStorage(tmp_path, "correct horse battery staple")


# Attributes


CAMEL_CASE: list[tuple[Callable[[], object], str, str]] = [
    (Patient, "firstName", "first_name"),
    (Notification, "keyPairUpdate", "key_pair_update"),
    (User, "sharingDataWith", "sharing_data_with"),
    (Address, "postalCode", "postal_code"),
    (lambda: AuthenticationProcess(request_id="r", login="l"), "requestId", "request_id"),
    (lambda: anonymous(icure_async), "withMsgGwUrl", "with_msg_gw_url"),
    (lambda: logged_in(icure_sync), "withUserName", "with_user_name"),
    (Patient, "frist_name", "first_name"),
    (NotificationFilter, "afterDate", "after_date"),
    (PatientFilter, "forDataOwner", "for_data_owner"),
    (HealthcareProfessionalFilter, "byMatches", "by_matches"),
    (UserFilter, "byPatientId", "by_patient_id"),
    (MedicalDeviceFilter, "byIds", "by_ids"),
    (HealthcareElementFilter, "forPatients", "for_patients"),
    (DataSampleFilter, "byLabelCodeDateFilter", "by_label_code_date_filter"),
    (DataSampleFilter, "byHealthElementIds", "by_healthcare_element_ids"),
    (CodingFilter, "byRegionLanguageTypeLabel", "by_region_language_type_label"),
    (HealthcareElement, "healthElementId", "healthcare_element_id"),
    (DataSample, "qualifiedLinks", "qualified_links"),
    (Content, "stringValue", "string_value"),
    (Measure, "unitCodes", "unit_codes"),
    (Coding, "searchTerms", "search_terms"),
    (lambda: KeyPair("00", "00"), "publicKey", "public_key"),
]


@pytest.mark.parametrize(("make", "mistaken", "meant"), CAMEL_CASE)
def test_a_mistaken_name_is_told_the_right_one(
    make: Callable[[], object], mistaken: str, meant: str
) -> None:
    thing = make()
    with pytest.raises(UnknownNameError, match=f"{mistaken}.*Did you mean '{meant}'"):
        getattr(thing, mistaken)
    assert not hasattr(thing, "something_else_altogether")


async def test_the_apis_of_an_api_are_told_too() -> None:
    async with logged_in(icure_async).build() as api:
        for mistaken, meant in (("patientApi", "patient_api"), ("initUserCrypto", "init_user")):
            with pytest.raises(UnknownNameError, match=f"Did you mean '{meant}"):
                getattr(api, mistaken)
        with pytest.raises(UnknownNameError, match="Did you mean 'get_patient'"):
            _ = api.patient_api.getPatient


def test_the_apis_of_a_blocking_api_are_told_too() -> None:
    with logged_in(icure_sync).build() as api:
        with pytest.raises(UnknownNameError, match="Did you mean 'patient_api'"):
            _ = api.patientApi
        with pytest.raises(UnknownNameError, match="Did you mean 'get_patient'"):
            _ = api.patient_api.getPatient


def test_models_are_still_copied_and_pickled() -> None:
    patient = Patient(first_name="Ned", addresses=[Address(city="Winterfell")])
    assert pickle.loads(pickle.dumps(patient)) == copy.deepcopy(patient) == patient


# Not awaited, or awaited in vain


def test_an_api_that_was_not_built_yet_says_so() -> None:
    building: Any = logged_in(icure_async).build()
    for use in (lambda: building.patient_api, lambda: building.aclose(), building.__enter__):
        with pytest.raises(ICureError, match=r"await builder.build\(\)"):
            use()
    with pytest.raises(WrongArgumentsError, match="async with"), building:
        pass
    assert not hasattr(building, "_anything")


async def test_awaiting_the_notifications_says_how_to_iterate() -> None:
    async with logged_in(icure_async).build() as api:
        notifications = api.notification_api.filter_notifications()
        with pytest.raises(WrongArgumentsError, match="async for"):
            await notifications
        await notifications.aclose()


async def test_a_list_of_key_pairs_where_one_is_needed_says_which(sandbox: Sandbox) -> None:
    master = sandbox.master_hcp
    builder = MedTechApiBuilder().with_icure_base_url(sandbox.icure_url)
    async with builder.with_user_name(master.login).with_password("p").build() as api:
        pairs: Any = [master.key_pair]
        with pytest.raises(ValidationError, match=r"\[0\]"):
            await api.init_user_crypto(pairs)


def test_the_builders_of_this_test_are_the_public_ones() -> None:
    assert type(anonymous(icure_async)) is AnonymousMedTechApiBuilder


async def test_listing_without_async_for_is_explained() -> None:
    async with logged_in(icure_async).build() as api:
        notifications = api.notification_api.filter_notifications()
        with pytest.raises(
            WrongArgumentsError, match=r"one by one and needs `async for`.*item async"
        ):
            list(notifications)
        with pytest.raises(WrongArgumentsError, match="needs `async for`"):
            for _ in notifications:
                pass
        assert notifications, "as any iterator"
        await notifications.aclose()


@pytest.mark.parametrize("package", [icure_async, icure_sync], ids=["async", "sync"])
@pytest.mark.parametrize("method", ["with_storage", "with_key_storage", "with_crypto"])
def test_a_class_in_place_of_an_object_is_explained(package: Any, method: str) -> None:
    classes = {
        "with_storage": package.storage.FileStorage,
        "with_key_storage": package.storage.FileKeyStorage,
        "with_crypto": SoftwareCrypto,
    }
    given = classes[method]
    with pytest.raises(ConfigurationError, match=rf"the class {given.__name__}: pass"):
        getattr(logged_in(package), method)(given)


@pytest.mark.parametrize("given", ["1980-01-31", True, 1980.5, (1980, 1, 31)])
def test_a_date_of_another_kind_is_told_how_dates_are_written(given: Any) -> None:
    patient = Patient(first_name="Robb", date_of_birth=given)
    with pytest.raises(ValidationError, match=r"a datetime\.date, or an int written YYYYMMDD"):
        validate_patient_for_saving(patient, creating=True)


async def test_a_login_at_the_gateway_in_place_of_the_backend_blames_the_url() -> None:
    async with Sandbox() as sandbox:
        builder = MedTechApiBuilder().with_icure_base_url(sandbox.msg_gw_url)
        async with builder.with_user_name("ned").with_password("winter").build() as api:
            with pytest.raises(NotFoundError, match=r"with_icure_base_url\(\) is the URL of the b"):
                await api.user_api.get_logged_user()
