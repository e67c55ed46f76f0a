"""What the generator makes of ``icure_async``: tables, and no code.

Every entry must match something, and everything async that is public must be matched by an entry:
``python tools/gen_sync.py --check`` says where that is not so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RULES", "GeneratedModule", "Kind", "Rules"]

Kind = Literal["twin", "value", "protocol"]


@dataclass(frozen=True)
class GeneratedModule:
    """One module of ``icure_sync/_generated``.

    Attributes:
        source: the module of ``icure_async`` it is made from.
        target: its own name.
        classes: the classes to take over. A "twin" holds an async object and blocks on its calls; a
            "value" has the members of the async one, with twins in the place of async objects; a
            "protocol" is the same in both packages, and gets a plain form beside it, named
            ``Blocking…``, which twins take as well.
    """

    source: str
    target: str
    classes: Mapping[str, Kind]


@dataclass(frozen=True)
class Rules:
    """All decisions that can't be read off the source.

    Attributes:
        modules: what is generated.
        constructed: twins that users construct themselves, with the arguments of the async class.
        portable: twins of objects without connections: they serve in a forked process, too.
        renamed: methods that have another name without ``async``.
        closing: methods that close; in a forked process they leave the parent's objects alone.
        awaitables: classes of objects to await; the twin's method awaits them.
        entered: methods whose async context manager becomes a plain one, as ``"Class.method"``.
        iterators: methods whose async iterator becomes a plain one, as ``"Class.method"``.
        decorators: class decorators that the base of the twins applies to these, too.
        callbacks: async functions as arguments; twins take plain ones, which run in a worker
            thread. As ``"Class.method.parameter"``.
        left_out: public members and names that have no twin, and why.
        facades: hand-written module of ``icure_sync`` → the one of ``icure_async`` whose public
            names it must have.
        internal: modules of ``icure_async`` without public names; what is added there needs a
            facade, a row of modules, or an entry here or in the next table.
        shared_modules: modules whose public names are the same objects in both packages. Nothing
            in them does input or output.
        shared_names: names that are the same in both packages although they are async, and why.
        words: what docstrings say about async code → what they say about the twin.
    """

    modules: tuple[GeneratedModule, ...]
    constructed: tuple[str, ...]
    portable: tuple[str, ...]
    renamed: Mapping[str, str]
    closing: tuple[str, ...]
    awaitables: tuple[str, ...]
    entered: tuple[str, ...]
    iterators: tuple[str, ...]
    decorators: tuple[str, ...]
    callbacks: tuple[str, ...]
    left_out: Mapping[str, str]
    facades: Mapping[str, str]
    internal: tuple[str, ...]
    shared_modules: tuple[str, ...]
    shared_names: Mapping[str, str]
    words: Mapping[str, str]


_BUILDERS: Final = ("AnonymousMedTechApiBuilder", "MedTechApiBuilder")
_STORAGES: Final = (
    "EncryptedKeyStorage",
    "FileKeyStorage",
    "FileStorage",
    "MemoryKeyStorage",
    "MemoryStorage",
    "StorageKeyStorage",
)

RULES: Final = Rules(
    modules=(
        GeneratedModule(
            "icure_async.builders",
            "builders",
            dict.fromkeys(_BUILDERS, "twin"),
        ),
        GeneratedModule(
            "icure_async.medtech", "medtech", {"AnonymousMedTechApi": "twin", "MedTechApi": "twin"}
        ),
        GeneratedModule(
            "icure_async.authentication.api", "authentication", {"AuthenticationApi": "twin"}
        ),
        GeneratedModule(
            "icure_async.authentication.result",
            "authentication_result",
            {"AuthenticationResult": "value"},
        ),
        GeneratedModule(
            "icure_async.apis.notifications", "notifications", {"NotificationApi": "twin"}
        ),
        GeneratedModule("icure_async.apis.patients", "patients", {"PatientApi": "twin"}),
        GeneratedModule("icure_async.apis.users", "users", {"UserApi": "twin"}),
        GeneratedModule("icure_async.apis.data_owners", "data_owners", {"DataOwnerApi": "twin"}),
        GeneratedModule("icure_async.sandbox.server", "sandbox", {"Sandbox": "twin"}),
        GeneratedModule(
            "icure_async.storage.protocols",
            "storage",
            {"Storage": "protocol", "KeyStorage": "protocol"},
        ),
        GeneratedModule("icure_async.storage.locks", "locks", {"LockableStorage": "protocol"}),
        GeneratedModule("icure_async.storage.files", "files", {"FileStorage": "twin"}),
        GeneratedModule("icure_async.storage.memory", "memory", {"MemoryStorage": "twin"}),
        GeneratedModule(
            "icure_async.storage.key_storage",
            "key_storage",
            {
                "StorageKeyStorage": "twin",
                "MemoryKeyStorage": "twin",
                "FileKeyStorage": "twin",
            },
        ),
        GeneratedModule(
            "icure_async.storage.encrypted", "encrypted", {"EncryptedKeyStorage": "twin"}
        ),
        GeneratedModule("icure_async.crypto.protocol", "crypto", {"Crypto": "protocol"}),
    ),
    constructed=(*_BUILDERS, *_STORAGES, "Sandbox"),
    portable=(*_BUILDERS, *_STORAGES),
    renamed={"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"},
    closing=("aclose", "__aexit__"),
    awaitables=("Building",),
    entered=(
        "FileStorage.lock",
        "LockableStorage.lock",
        "MemoryStorage.lock",
        "StorageKeyStorage.lock",
    ),
    iterators=(
        "NotificationApi.filter_notifications",
        "PatientApi.iter_patients",
        "PatientApi.iter_patients_and_try_decrypt",
    ),
    decorators=("explained",),
    callbacks=(
        "AnonymousMedTechApiBuilder.on_key_change.notify",
        "AnonymousMedTechApiBuilder.with_public_key_policy.policy",
        "AnonymousMedTechApiBuilder.with_trust_on_first_use.confirm_change",
        "AuthenticationApi.complete_authentication.find_key",
        "MedTechApi.init_user_crypto.find_key",
        "MedTechApiBuilder.on_key_change.notify",
        "MedTechApiBuilder.with_public_key_policy.policy",
        "MedTechApiBuilder.with_trust_on_first_use.confirm_change",
        "PatientApi.create_patients.progress",
        "PatientApi.modify_patients.progress",
    ),
    left_out={
        "AnonymousMedTechApiBuilder.with_client_session": (
            "An aiohttp.ClientSession belongs to the event loop of its caller, and blocking "
            "callers have none."
        ),
        "MedTechApiBuilder.with_client_session": "As for the other builder.",
        "StorageKeyStorage.storage": "An async object. Who wants to use it has made its twin.",
    },
    facades={
        "icure_sync": "icure_async",
        "icure_sync.errors": "icure_async.errors",
        "icure_sync.storage": "icure_async.storage",
        "icure_sync.sandbox": "icure_async.sandbox",
    },
    internal=(
        "icure_async.cli",
        "icure_async.entities",
        "icure_async.foreign_text",
        "icure_async.json_shapes",
        "icure_async.keys",
        "icure_async.mistakes",
        "icure_async.rest",
        "icure_async.secret_holders",
        "icure_async.threads",
    ),
    shared_modules=(
        "icure_async.authentication.process",
        "icure_async.cautions",
        "icure_async.errors",
        "icure_async.models",
        "icure_async.sandbox.faults",
        "icure_async.sandbox.master",
    ),
    shared_names={"StorageLock": "A value."},
    words={
        "async for": "for",
        "async with": "with",
        "aclose()": "close()",
        "~icure_async.storage.Storage`": "~icure_sync.storage.BlockingStorage`",
        "~icure_async.storage.KeyStorage`": "~icure_sync.storage.BlockingKeyStorage`",
        "icure_async.": "icure_sync.",
        "tasks, threads and": "threads and",
        "A write that is cancelled has": "A write that Ctrl-C interrupts has",
        "Use an object from one event loop at a time.": "Threads may share an object.",
        "Return the API object to await or to enter.": (
            "Return the API object; entered with ``with``, it is closed at the end."
        ),
    },
)
