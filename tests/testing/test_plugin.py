"""The pytest plugin, in suites of its users."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from coverage import CoverageData

import icure_async
import icure_sync

pytest_plugins = ["pytester"]

SUITE = """
import asyncio
import os
import time
import urllib.request

import pytest

from icure_async import AnonymousMedTechApiBuilder
from icure_async.sandbox import Fault

seen = []


@pytest.fixture
def anyio_backend():
    return "asyncio"


def registering(sandbox):
    return (
        AnonymousMedTechApiBuilder()
        .with_icure_base_url(sandbox.icure_url)
        .with_msg_gw_url(sandbox.msg_gw_url)
        .with_msg_gw_spec_id(sandbox.spec_id)
        .with_auth_process_by_sms_id(sandbox.patient_process_by_sms_id)
        .with_in_memory_keys()
        .build()
    )


async def register(sandbox, phone):
    async with registering(sandbox) as anonymous:
        process = await anonymous.authentication_api.start_authentication(
            phone_number=phone,
            first_name="Ned",
            last_name="Stark",
            recaptcha="any",
            healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        )
        code = await sandbox.wait_for_code(phone)
        assert sandbox.messages(phone)[-1].code == code
        return code


def test_plain(icure_sandbox, icure_environment):
    assert os.environ["ICURE_URL"] == icure_environment["ICURE_URL"] == icure_sandbox.icure_url
    assert icure_sandbox.messages() == []
    seen.append(icure_sandbox.icure_url)


@pytest.mark.asyncio
async def test_asyncio(icure_async_sandbox):
    assert await register(icure_async_sandbox, "+32470000001") == "123456"
    assert len(icure_async_sandbox.messages()) == 1
    assert icure_async_sandbox.requests()
    icure_async_sandbox.advance_clock(3600)
    icure_async_sandbox.inject_fault(Fault("status", status=503))


@pytest.mark.anyio
async def test_anyio(icure_async_sandbox):
    assert icure_async_sandbox.messages() == []
    assert icure_async_sandbox.requests() == []
    await register(icure_async_sandbox, "+32470000002")
    with pytest.raises(TimeoutError):
        await icure_async_sandbox.wait_for_code("+32470000003", timeout=0.01)
    with pytest.raises(AttributeError, match="session"):
        await icure_async_sandbox.aclose()
    seen.append(icure_async_sandbox.icure_url)


def test_one_sandbox_serves_all(icure_session_sandbox):
    assert set(seen) == {icure_session_sandbox.icure_url}
    assert icure_session_sandbox.messages("+32 470 00 00 02")


codes = []


@pytest.mark.asyncio
@pytest.mark.parametrize("time", ["first", "second"])
async def test_codes_are_those_of_the_seed(icure_async_sandbox, time):
    codes.append(await register(icure_async_sandbox, "+32470000004"))
    assert len(set(codes)) == 1


def test_a_fault_ends_with_its_block(icure_sandbox):
    with icure_sandbox.fault(Fault("status", status=503)) as fault:
        with pytest.raises(OSError):
            urllib.request.urlopen(icure_sandbox.icure_url + "/icure/ok")
    assert fault.struck == 1
    assert urllib.request.urlopen(icure_sandbox.icure_url + "/icure/ok").read() == b"true"


def test_a_test_may_close_it(icure_sandbox):
    icure_sandbox.inject_fault(Fault("status", status=503))
    icure_sandbox.advance_clock(3600)
    icure_sandbox.close()


def test_the_next_one_has_one_that_runs(icure_sandbox, icure_patient):
    assert icure_sandbox.stored("patient", icure_patient.data_owner_id)
    assert urllib.request.urlopen(icure_sandbox.icure_url + "/icure/ok").read() == b"true"
"""

INI = """
[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = function
icure_sandbox_profile = strict
icure_sandbox_random_seed = 7
icure_sandbox_codes =
    +32470000001 = 123456
"""


def test_a_suite_of_all_kinds_of_tests(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=9)


@pytest.fixture(autouse=True)
def of_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the coverage and the workers of this suite out of those that it runs."""
    for name in list(os.environ):
        if name.startswith(("COV", "PYTEST_")):
            monkeypatch.delenv(name)


def test_whatever_the_sandbox_of_the_session_was_used_for_the_next_one_is_new(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        def test_session(icure_session_sandbox):
            icure_session_sandbox.register("patient", email="ned@example.com")
            icure_session_sandbox.set_codes({"+32470000001": "123456"})

        def test_new(icure_sandbox):
            assert icure_sandbox.export()["entities"]["patient"] == {}
        """
    )
    pytester.runpytest_inprocess("-q", "-p", "no:asyncio").assert_outcomes(passed=2)


def test_a_suite_without_the_fixtures_imports_nothing(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import sys

        def pytest_unconfigure():
            ours = {"icure_async", "icure_sync", "aiohttp", "attrs", "pytest_icure._sandboxes"}
            print("imported", sorted(ours & set(sys.modules)), "pytest_icure" in sys.modules)
        """
    )
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("-p", "no:anyio", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["imported [[]] True"])


def test_no_line_is_missed_by_a_suite_that_measures_the_sdk(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where this test is measured itself, two would measure the other program.
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)
    pytester.makepyfile(
        """
        def test_version():
            from icure_async._version import __version__
            import icure_sync
        """
    )
    result = pytester.runpytest_subprocess("--cov=icure_async", "--cov=icure_sync", "--cov-report=")
    result.assert_outcomes(passed=1)
    data = CoverageData(".coverage")
    data.read()
    for package in (icure_async, icure_sync):
        file = str(package.__file__)
        executed = set(data.lines(file) or ())
        # The first line of each import, and of the list of names.
        wanted = {node.lineno for node in ast.parse(Path(file).read_text("utf-8")).body}
        assert wanted - executed <= {1}, f"{package}: {len(executed)} lines"  # the docstring


def test_each_worker_has_a_sandbox_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto")
    pytester.makepyfile(
        """
        import os
        import pytest

        @pytest.mark.parametrize("number", range(2))
        async def test_it(icure_async_sandbox, number):
            await icure_async_sandbox.export()
            with open(f"port-{os.environ['PYTEST_XDIST_WORKER']}", "w") as file:
                file.write(icure_async_sandbox.icure_url)
        """
    )
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=2)
    urls = [path.read_text("utf-8") for path in pytester.path.glob("port-*")]
    assert len(set(urls)) == 2


def test_without_the_extra_only_users_of_the_fixtures_are_told(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys; sys.modules['joserfc'] = None")
    pytester.makepyfile(
        """
        def test_without(): pass
        def test_with(icure_sandbox): pass
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*pip install 'icure-async[[]testing[]]'*"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("icure_sandbox_profile = lenient", "profile must be"),
        ("icure_sandbox_seed = nowhere.json", "nowhere.json"),
        ("icure_sandbox_random_seed = x", "icure_sandbox_random_seed must be a number"),
        ("icure_sandbox_codes = 123456", "CONTACT=CODE"),
        ("icure_sandbox_codes = +32470000001=abc", "did not start"),
        ("icure_flavour = vanilla", "medtech or cardinal"),
    ],
)
def test_a_wrong_option_is_named(pytester: pytest.Pytester, line: str, said: str) -> None:
    pytester.makeini(f"[pytest]\n{line}")
    pytester.makepyfile("def test_it(icure_sandbox): pass")
    result = pytester.runpytest_inprocess("-p", "no:asyncio")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{said}*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_options_may_be_those_of_a_fixture(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def icure_sandbox_options():
            return {"captcha": "solved", "code_validity": 5}
        """
    )
    pytester.makepyfile(
        """
        import json
        import urllib.request
        import uuid
        import urllib.error
        import pytest

        def test_it(icure_sandbox):
            url = f"{icure_sandbox.msg_gw_url}/{icure_sandbox.spec_id}/process/patient-sms/"
            body = {"mobilePhone": "+32470000001", "captcha": "not solved"}
            request = urllib.request.Request(
                url + str(uuid.uuid4()),
                json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )
            urllib.request.urlopen(request)
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:asyncio")
    result.assert_outcomes(failed=1)
    # The requests of a test that failed are shown, without what identifies anybody.
    result.stdout.fnmatch_lines(["*Requests to the iCure sandbox*", "403 POST /msggtw/*"])


def test_people_of_today_log_in_in_both_kinds_of_tests(pytester: pytest.Pytester) -> None:
    pytester.makeini(
        "[pytest]\nicure_flavour = cardinal\nasyncio_default_fixture_loop_scope = function\n"
    )
    pytester.makepyfile(
        """
        import pytest


        def test_blocking(icure_patient, icure_professional, icure_login):
            assert icure_patient.flavour == icure_professional.flavour == "cardinal"
            with icure_login(icure_professional) as api:
                patient = api.patient_api.get_patient(icure_patient.data_owner_id)
                assert patient.last_name == icure_patient.last_name


        @pytest.mark.asyncio
        async def test_async(icure_async_sandbox, icure_patient, icure_async_login):
            assert await icure_async_sandbox.stored("patient", icure_patient.data_owner_id)
            async with icure_async_login(icure_patient) as api:
                patient = await api.patient_api.get_patient(icure_patient.data_owner_id)
                assert patient.last_name == icure_patient.last_name
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=2)
