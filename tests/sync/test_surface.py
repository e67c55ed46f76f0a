"""The public names of ``icure_async``, all of them in ``icure_sync`` with the same signatures.

This looks at the imported classes and not at the rules of the generator: it would see a wrong one.
"""

from __future__ import annotations

import ast
import collections.abc
import contextlib
import functools
import importlib
import inspect
import operator
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import pytest

import icure_async
import icure_sync
from icure_async.builders import Building
from icure_async.sandbox import Sandbox as AsyncSandbox
from icure_sync._iterators import ClosableIterator
from icure_sync._twins import Twin
from icure_sync.sandbox import Sandbox

NAMES = (
    "AnonymousMedTechApi",
    "AnonymousMedTechApiBuilder",
    "AnonymousMessageGatewayApi",
    "AuthenticationApi",
    "CodingApi",
    "DataOwnerApi",
    "DataSampleApi",
    "HealthcareElementApi",
    "HealthcareProfessionalApi",
    "MedTechApi",
    "MedTechApiBuilder",
    "MedicalDeviceApi",
    "MessageGatewayApi",
    "NotificationApi",
    "PatientApi",
    "Subscription",
    "UserApi",
)
STORAGES = (
    "EncryptedKeyStorage",
    "EncryptedStorage",
    "FileKeyStorage",
    "FileStorage",
    "MemoryKeyStorage",
    "MemoryStorage",
    "PostgresKeyStorage",
    "PostgresStorage",
    "StorageKeyStorage",
)
CLASSES: dict[type, type] = {
    **{getattr(icure_async, name): getattr(icure_sync, name) for name in NAMES},
    **{getattr(icure_async.storage, n): getattr(icure_sync.storage, n) for n in STORAGES},
    AsyncSandbox: Sandbox,
}
PROTOCOLS: dict[type, type] = {
    **{
        getattr(icure_async, name): getattr(icure_sync, f"Blocking{name}")
        for name in ("Crypto", "KeyStorage", "Storage")
    },
    icure_async.storage.LockableStorage: icure_sync.storage.BlockingLockableStorage,
}
TWINS = {
    **CLASSES,
    **PROTOCOLS,
    icure_async.AuthenticationResult: icure_sync.AuthenticationResult,
}
RENAMED = {
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}
LEFT_OUT = {"with_client_session", "storage"}
CONSTRUCTED = {"AnonymousMedTechApiBuilder", "MedTechApiBuilder", "Sandbox", *STORAGES}


def members(cls: type) -> Iterator[tuple[str, Any]]:
    for name in dir(cls):
        if name in RENAMED or not name.startswith("_"):
            yield name, inspect.getattr_static(cls, name)


MEMBERS = [
    pytest.param(original, name, id=f"{original.__name__}.{name}")
    for original in (*CLASSES, *PROTOCOLS)
    for name, _ in members(original)
    if name not in LEFT_OUT
]


def hints(function: Any) -> dict[str, Any]:
    """The annotations of a function, with what its module imports for type checkers only."""
    module = sys.modules[function.__module__]
    namespace = dict(vars(module))
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                exec(compile(ast.Module([statement], []), "<imports>", "exec"), namespace)
    found = get_type_hints(function, namespace)
    if inspect.isasyncgenfunction(inspect.unwrap(function)):
        # Such a function is public as a context manager only; others return their iterators.
        held = get_args(found["return"])[:1]
        found["return"] = types.GenericAlias(contextlib.AbstractAsyncContextManager, held)
    return found


def twin_of(hint: Any, *, parameter: bool) -> Any:
    """Return the annotation in ``icure_sync`` for one of ``icure_async``."""
    if parameter and hint in PROTOCOLS:
        return Union[PROTOCOLS[hint], hint]  # noqa: UP007
    if hint in TWINS:
        return TWINS[hint]
    origin, parts = get_origin(hint), get_args(hint)
    if origin in TWINS:
        generic: Any = TWINS[origin]
        return generic[parts]
    if origin is Building:
        return TWINS[parts[0]]
    if origin is contextlib.AbstractAsyncContextManager:
        return types.GenericAlias(contextlib.AbstractContextManager, parts[:1])
    if origin in (collections.abc.AsyncIterator, collections.abc.AsyncGenerator):
        return types.GenericAlias(ClosableIterator, parts[:1])
    if parameter and origin is collections.abc.Callable:
        arguments, result = parts
        plain = get_args(result)[0] if get_origin(result) is collections.abc.Awaitable else result
        return collections.abc.Callable[arguments, plain]
    if parameter and origin is collections.abc.AsyncIterable:
        return types.GenericAlias(collections.abc.Iterable, parts)
    if parameter and origin is types.UnionType:
        return functools.reduce(operator.or_, (twin_of(part, parameter=True) for part in parts))
    return hint


def function_of(member: Any) -> Any:
    if isinstance(member, property):
        return member.fget
    return getattr(member, "__func__", getattr(member, "func", member))


EXAMPLE_LINE = re.compile(r"(?m)^ *(?:>>>|\.\.\.) .*$")


def _without_async(line: re.Match[str]) -> str:
    return line[0].replace("await ", "").replace("async def", "def")


def doc_of(thing: object) -> str | None:
    """The docstring of a twin, whose examples need fewer brackets."""
    return bare(inspect.getdoc(thing))


def bare(doc: str | None) -> str | None:
    return doc and EXAMPLE_LINE.sub(lambda line: re.sub("[()]", "", line[0]), doc)


def reworded(doc: str | None) -> str | None:
    if doc is None:
        return None
    doc = doc.replace("Return the API object to await or to enter.", "Return the API object;")
    # In examples only.
    doc = EXAMPLE_LINE.sub(_without_async, doc)
    for old, new in (
        ("an async function that", "a function that"),
        ("the event loop and the process in which", "the process in which"),
        ("another event loop or process", "another process"),
        ("async iterable", "iterable"),
        ("async for", "for"),
        ("async with", "with"),
        ("aclose", "close"),
        ("~icure_async.storage.Storage", "~icure_sync.storage.BlockingStorage"),
        ("~icure_async.storage.KeyStorage", "~icure_sync.storage.BlockingKeyStorage"),
        ("icure_async", "icure_sync"),
        ("tasks, threads and", "threads and"),
        ("A write that is cancelled has", "A write that Ctrl-C interrupts has"),
        (
            "An open ``AsyncConnectionPool`` of psycopg_pool for two connections or more serves.",
            "A pool of psycopg_pool does not serve: its own one is shared by all threads.",
        ),
        ("Use an object from one event loop at a time.", "Threads may share an object."),
    ):
        doc = doc.replace(old, new)
    return doc


def test_the_public_names_are_the_same() -> None:
    for name in ("", ".errors", ".storage", ".sandbox", ".services"):
        original = importlib.import_module(f"icure_async{name}")
        twin = importlib.import_module(f"icure_sync{name}")
        plain = {f"Blocking{p.__name__}" for p in PROTOCOLS if p.__name__ in original.__all__}
        assert set(twin.__all__) == set(original.__all__) | plain
        assert all(hasattr(twin, public) for public in twin.__all__)


def test_what_does_no_io_is_the_same_object() -> None:
    different = {
        name
        for name in icure_async.__all__
        if getattr(icure_sync, name) is not getattr(icure_async, name)
    }
    assert different == {
        *NAMES,
        "AuthenticationResult",
        "errors",
        "storage",
    }
    assert icure_sync.Patient is icure_async.Patient
    for name in icure_async.errors.__all__:
        assert getattr(icure_sync.errors, name) is getattr(icure_async.errors, name)
    for name in set(icure_async.storage.__all__) - {*STORAGES}:
        assert getattr(icure_sync.storage, name) is getattr(icure_async.storage, name)
    assert icure_sync.storage.BlockingStorage is icure_sync.BlockingStorage


@pytest.mark.parametrize("original", [*CLASSES, *PROTOCOLS], ids=lambda cls: cls.__name__)
def test_no_member_is_missing_on_either_side(original: type) -> None:
    expected = {RENAMED.get(name, name) for name, _ in members(original)} - LEFT_OUT
    twin = TWINS[original]
    found = {n for n in dir(twin) if not n.startswith("_") or n in RENAMED.values()}
    assert found == expected | ATTRIBUTES.get(original, set())


ATTRIBUTES = {
    icure_async.AnonymousMedTechApi: {"authentication_api", "message_gateway_api"},
    icure_async.MedTechApi: {
        "coding_api",
        "data_owner_api",
        "data_sample_api",
        "healthcare_element_api",
        "healthcare_professional_api",
        "medical_device_api",
        "notification_api",
        "patient_api",
        "user_api",
    },
}


async def test_the_attributes_of_the_objects_are_the_same() -> None:
    """Those that constructors set are not seen in the class."""
    for original, builder in ((icure_async, "MedTechApiBuilder"), (icure_async, ANONYMOUS)):
        blocking = configured(getattr(icure_sync, builder)()).build()
        with contextlib.closing(blocking):
            async with configured(getattr(original, builder)()).build() as api:
                expected = {n for n in vars(api) if not n.startswith("_")}
                assert expected == ATTRIBUTES[type(api)]
                for name in expected:
                    assert type(getattr(blocking, name)) is TWINS[type(getattr(api, name))]
                    kept = getattr(blocking, name)
                    assert getattr(blocking, name) is kept
                    with pytest.raises(AttributeError):
                        setattr(blocking, name, kept)


ANONYMOUS = "AnonymousMedTechApiBuilder"


def configured(builder: Any) -> Any:
    builder.with_icure_base_url("http://127.0.0.1:9").with_msg_gw_spec_id("ic")
    builder.with_auth_process_by_sms_id("sms")
    if hasattr(builder, "with_password"):
        builder.with_user_name("ned").with_password("winter")
    return builder


@pytest.mark.parametrize(("original", "name"), MEMBERS)
def test_a_member_and_its_twin_say_the_same(original: type, name: str) -> None:
    twin = TWINS[original]
    member = inspect.getattr_static(original, name)
    counterpart = inspect.getattr_static(twin, RENAMED.get(name, name))
    if isinstance(member, str):
        assert getattr(twin, name) == getattr(original, name)
        return
    assert isinstance(counterpart, property) == isinstance(member, property)
    assert isinstance(counterpart, classmethod) == isinstance(member, classmethod)
    ours, theirs = function_of(counterpart), function_of(member)
    assert not inspect.iscoroutinefunction(ours)

    parameters = inspect.signature(ours).parameters
    expected = inspect.signature(theirs).parameters
    assert list(parameters) == list(expected)
    for argument, parameter in parameters.items():
        assert parameter.kind is expected[argument].kind
        assert parameter.default == expected[argument].default

    our_hints, their_hints = hints(ours), hints(theirs)
    assert "return" in our_hints
    assert our_hints == {
        argument: twin_of(hint, parameter=argument != "return")
        for argument, hint in their_hints.items()
    }
    doc = reworded(inspect.getdoc(theirs))
    if name == "build":
        assert str(inspect.getdoc(ours)).startswith("Return the API object;")
        assert str(doc_of(ours)).partition("\n")[2] == str(bare(doc)).partition("\n")[2]
    elif not name.startswith("_"):
        assert doc_of(ours) == bare(doc) is not None


@pytest.mark.parametrize("original", [*CLASSES, *PROTOCOLS], ids=lambda cls: cls.__name__)
def test_a_class_and_its_twin_say_the_same(original: type) -> None:
    twin = TWINS[original]
    prefix = "Blocking" if original in PROTOCOLS else ""
    assert twin.__name__ == prefix + original.__name__
    assert doc_of(twin) == bare(reworded(inspect.getdoc(original)))
    assert issubclass(twin, Twin) == (original in CLASSES)
    assert [TWINS[base] for base in original.__bases__ if base in CLASSES] == [
        base for base in twin.__bases__ if base in CLASSES.values()
    ]
    if twin.__name__ in CONSTRUCTED:
        parameters = inspect.signature(twin).parameters
        expected = {
            name: parameter
            for name, parameter in inspect.signature(original).parameters.items()
            if not name.startswith("_")
        }
        assert list(parameters) == list(expected)
        for name, parameter in parameters.items():
            assert parameter.kind is expected[name].kind
            assert parameter.default == expected[name].default
        their_hints = hints(inspect.getattr_static(original, "__init__"))
        assert hints(inspect.getattr_static(twin, "__init__")) == {
            name: twin_of(hint, parameter=name != "return")
            for name, hint in their_hints.items()
            if not name.startswith("_")
        }


def test_the_result_has_the_same_members() -> None:
    original, twin = icure_async.AuthenticationResult, icure_sync.AuthenticationResult
    ours, theirs = attrs.fields(twin), attrs.fields(original)
    assert [(f.name, f.type, f.repr, f.kw_only) for f in ours] == [
        (f.name, f.type, f.repr, f.kw_only) for f in theirs
    ]
    assert doc_of(twin) == bare(reworded(inspect.getdoc(original)))
    assert hints(twin._wrap)["inner"] is original


def test_docstrings_of_twins_do_not_speak_of_async() -> None:
    for twin in TWINS.values():
        for member in (twin, *vars(twin).values()):
            doc = inspect.getdoc(member) or ""
            if not isinstance(member, str | types.MemberDescriptorType):
                assert not re.search(
                    r"\b(?<!icure-)(await|async|asyncio|aclose|icure_async)\b", doc
                )


def test_importing_it_drags_in_neither_the_sandbox_nor_the_command_line() -> None:
    # Coverage, where it measures subprocesses, imports on its own account.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    code = "import sys, icure_sync, threading; print(threading.active_count(), *sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    ).stdout.split()
    assert output[0] == "1"
    unwanted = {"typer", "rich", "joserfc", "sqlite3", "phonenumbers", "cattrs", "keyring"}
    unwanted |= {
        f"icure_{kind}.{name}" for kind in ("sync", "async") for name in ("sandbox", "cli")
    }
    unwanted |= {"icure_sync._generated.sandbox", "gen_sync", "sync_rules"}
    assert not unwanted & set(output)
