"""What the generator makes of ``icure_async``: tables, and no code.

Every entry must match something, and everything async that is public must be matched by an entry:
``python -m icure_sync._generate --check`` says where that is not so.
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
        renamed: methods that have another name without ``async``.
        awaitables: classes of objects to await; the twin's method awaits them.
        iterators: methods whose async iterator becomes a plain one, as ``"Class.method"``.
        callbacks: async functions as arguments; twins take plain ones, which run in a worker
            thread. As ``"Class.method.parameter"``.
        left_out: public members and names that have no twin, and why.
        facades: hand-written module of ``icure_sync`` → the one of ``icure_async`` whose public
            names it must have.
        shared_modules: modules whose public names are the same objects in both packages. Nothing
            in them does input or output.
        shared_names: names that are the same in both packages although they are async, and why.
        words: what docstrings say about async code → what they say about the twin.
    """

    modules: tuple[GeneratedModule, ...]
    constructed: tuple[str, ...]
    renamed: Mapping[str, str]
    awaitables: tuple[str, ...]
    iterators: tuple[str, ...]
    callbacks: tuple[str, ...]
    left_out: Mapping[str, str]
    facades: Mapping[str, str]
    shared_modules: tuple[str, ...]
    shared_names: Mapping[str, str]
    words: Mapping[str, str]


_SERVES_BOTH: Final = "An implementation to hand to a builder; the SDK calls it, not the user."

RULES: Final = Rules(
    modules=(
        GeneratedModule(
            "icure_async.builders",
            "builders",
            {"AnonymousMedTechApiBuilder": "twin", "MedTechApiBuilder": "twin"},
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
        GeneratedModule("icure_async.crypto.protocol", "crypto", {"Crypto": "protocol"}),
    ),
    constructed=("AnonymousMedTechApiBuilder", "MedTechApiBuilder", "Sandbox"),
    renamed={"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"},
    awaitables=("Building",),
    iterators=("NotificationApi.filter_notifications",),
    callbacks=(
        "AnonymousMedTechApiBuilder.with_public_key_policy.policy",
        "AuthenticationApi.complete_authentication.find_key",
        "MedTechApi.init_user_crypto.find_key",
        "MedTechApiBuilder.with_public_key_policy.policy",
    ),
    left_out={
        "AnonymousMedTechApiBuilder.with_client_session": (
            "An aiohttp.ClientSession belongs to the event loop of its caller, and blocking "
            "callers have none."
        ),
        "MedTechApiBuilder.with_client_session": "As for the other builder.",
    },
    facades={
        "icure_sync": "icure_async",
        "icure_sync.errors": "icure_async.errors",
        "icure_sync.storage": "icure_async.storage",
        "icure_sync.sandbox": "icure_async.sandbox",
    },
    shared_modules=(
        "icure_async.authentication.process",
        "icure_async.errors",
        "icure_async.models",
        "icure_async.sandbox.faults",
        "icure_async.sandbox.master",
    ),
    shared_names={
        "EncryptedKeyStorage": _SERVES_BOTH,
        "FileKeyStorage": _SERVES_BOTH,
        "FileStorage": _SERVES_BOTH,
        "MemoryKeyStorage": _SERVES_BOTH,
        "MemoryStorage": _SERVES_BOTH,
        "StorageKeyStorage": _SERVES_BOTH,
        "LockableStorage": "An addition to an async storage; a blocking one has no locks.",
        "StorageLock": "A value, which an async storage makes.",
    },
    words={
        "async with": "with",
        "aclose()": "close()",
        "icure_async.": "icure_sync.",
        "Return the API object to await or to enter.": (
            "Return the API object; entered with ``with``, it is closed at the end."
        ),
    },
)
