"""What the generated classes owe to the runtime: short tracebacks, clear errors after a fork."""

from __future__ import annotations

import traceback

import pytest

from icure_sync import MedTechApiBuilder
from icure_sync.errors import NetworkError, ValidationError

from .runtime_support import run_program


def test_a_traceback_shows_the_callers_line_and_the_sdks_but_no_plumbing() -> None:
    builder = MedTechApiBuilder().with_icure_base_url("http://127.0.0.1:9")
    with builder.with_user_name("ned").with_password("x").build() as api:
        with pytest.raises(ValidationError) as refused:
            api.user_api.get_user("a/b")
        with pytest.raises(NetworkError) as unreachable:
            api.init_user_crypto()
    for caught in (refused, unreachable):
        modules = [
            str(frame.f_globals["__name__"])
            for frame, _ in traceback.walk_tb(caught.value.__traceback__)
        ]
        assert modules[0] == __name__
        assert modules[1].startswith("icure_sync._generated.")
        assert modules[2:]
        assert all(name.startswith(("icure_async.", "stamina", "tenacity")) for name in modules[2:])


def test_what_a_forked_child_first_touches_is_known_to_be_its_parents() -> None:
    ended = run_program(
        """
from icure_sync import MedTechApiBuilder
from icure_sync.errors import ICureError

def build():
    builder = MedTechApiBuilder().with_icure_base_url("http://127.0.0.1:9")
    return builder.with_user_name("ned").with_password("x").build()

api = build()
child = os.fork()
if not child:
    signal.alarm(10)
    for call in (lambda: api.patient_api.get_patient("p"), api.user_api.get_logged_user):
        try:
            call()
        except ICureError as error:
            say(error)
    with build() as fresh:
        try:
            fresh.patient_api.get_patient("p")
        except ICureError as error:
            say(type(error).__name__)
    sys.exit(0)
say("child exited with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
api.close()
"""
    )
    assert len(ended.lines) == 4, ended.errors
    assert ended.lines[0].startswith("This PatientApi was made before os.fork()")
    assert ended.lines[1].startswith("This UserApi was made before os.fork()")
    assert ended.lines[2:] == ["NetworkError", "child exited with 0"]


def test_a_sandbox_of_the_parent_is_not_told_of_faults_by_a_forked_child() -> None:
    ended = run_program(
        """
from icure_async.sandbox import Fault
from icure_sync.errors import ICureError
from icure_sync.sandbox import Sandbox

with Sandbox() as sandbox:
    child = os.fork()
    if not child:
        signal.alarm(10)
        for call in (
            lambda: sandbox.advance_clock(60),
            lambda: sandbox.inject_fault(Fault("drop-before")),
            sandbox.clear_faults,
        ):
            try:
                call()
            except ICureError as error:
                say(error)
        os._exit(0)
    say("child exited with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert len(ended.lines) == 4, ended.errors
    assert all("This Sandbox was made before os.fork()" in line for line in ended.lines[:3])
    assert ended.lines[3] == "child exited with 0"
