"""Generated classes on the runtime: short tracebacks, clear errors after a fork."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from icure_sync import MedTechApiBuilder
from icure_sync.errors import NetworkError, ValidationError
from tests.support.interpreters import modules_in, run_program

GENERATED = Path(__file__).parents[2] / "icure_sync" / "_generated"
ORIGINALS = {
    "close": "aclose",
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}


def bodies() -> Iterator[object]:
    for path in sorted(GENERATED.glob("*.py")):
        for cls in ast.parse(path.read_text("utf-8")).body:
            if isinstance(cls, ast.ClassDef) and not cls.name.startswith("Blocking"):
                for method in cls.body:
                    if isinstance(method, ast.FunctionDef) and method.name != "_wrap":
                        yield pytest.param(cls.name, method, id=f"{cls.name}.{method.name}")


@pytest.mark.parametrize(("cls", "method"), [*bodies()])
def test_a_body_names_its_original_and_passes_on_all_it_gets(
    cls: str, method: ast.FunctionDef
) -> None:
    """The surface test compares what is in front of the bodies."""
    nodes = [node for statement in method.body for node in ast.walk(statement)]
    named = [
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) in ("self._inner", f"Async{cls}")
    ]
    made_by = [
        node.args[0].value
        for node in nodes
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "cls._made_by"
        and isinstance(node.args[0], ast.Constant)
    ]
    if method.name == "__init__":
        assert f"Async{cls}" in [node.id for node in nodes if isinstance(node, ast.Name)]
    else:
        assert named + made_by == [ORIGINALS.get(method.name, method.name)]
    spec = method.args
    starred = [argument for argument in (spec.vararg, spec.kwarg) if argument is not None]
    parameters = [*(*spec.posonlyargs, *spec.args)[1:], *spec.kwonlyargs, *starred]
    used = [node.id for node in nodes if isinstance(node, ast.Name) and node.id != "None"]
    assert {argument.arg for argument in parameters} <= set(used)


def test_a_subclass_of_a_builder_keeps_what_its_constructor_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Ours(MedTechApiBuilder):
        def __init__(self) -> None:
            super().__init__()
            self.tenant = "acme"
            self.with_user_name("ned").with_password("x")

    monkeypatch.setenv("ICURE_URL", "http://127.0.0.1:9")
    builder = Ours.from_env()
    assert isinstance(builder, Ours)
    assert builder.tenant == "acme"
    with builder.build() as api:
        assert "http://127.0.0.1:9" in repr(api)


def test_a_copy_of_a_builder_has_options_of_its_own() -> None:
    builder = MedTechApiBuilder().with_icure_base_url("http://127.0.0.1:9")
    other = copy.copy(builder).with_icure_base_url("http://127.0.0.1:10")
    assert repr(builder) == "MedTechApiBuilder(base_url='http://127.0.0.1:9/rest/v1')"
    assert repr(other) == "MedTechApiBuilder(base_url='http://127.0.0.1:10/rest/v1')"


def test_a_copy_of_an_api_shares_the_connection() -> None:
    builder = MedTechApiBuilder().with_icure_base_url("http://127.0.0.1:9")
    with builder.with_user_name("ned").with_password("x").build() as api:
        assert copy.copy(api)._inner is api._inner


def test_a_traceback_shows_the_callers_line_and_the_sdks_but_no_plumbing() -> None:
    builder = MedTechApiBuilder().with_icure_base_url("http://127.0.0.1:9")
    with builder.with_user_name("ned").with_password("x").build() as api:
        with pytest.raises(ValidationError) as refused:
            api.user_api.get_user("a/b")
        with pytest.raises(NetworkError) as unreachable:
            api.init_user_crypto()
    for caught in (refused, unreachable):
        modules = modules_in(caught.value)
        assert modules[0] == __name__
        assert modules[1].startswith("icure_sync._generated.")
        assert modules[2:]
        assert all(name.startswith(("icure_async.", "tenacity")) for name in modules[2:])


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
