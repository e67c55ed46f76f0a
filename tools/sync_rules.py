"""Tables of the generator: everything about ``icure_sync`` that the source can't say.

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
        source: the module of ``icure_async`` that it is made from.
        target: its own name.
        classes: the classes to take over. A "twin" holds an async object and blocks on its calls; a
            "value" has the members of the async one, with twins instead of async objects; a
            "protocol" is the same in both packages, and twins take its plain form, too.
    """

    source: str
    target: str
    classes: Mapping[str, Kind]


@dataclass(frozen=True)
class Rules:
    """All decisions that can't be read off the source. Methods are written ``"Class.method"``.

    Attributes:
        modules: the generated modules.
        constructed: twins that users construct themselves, with the arguments of the async class.
        portable: twins of objects without connections: they serve in a forked process, too.
        renamed: methods that have another name without ``async``.
        closing: methods that close; in a forked process they leave the parent's objects alone.
        awaitables: classes of objects to await; the twin's method awaits them.
        entered: methods whose async context manager becomes a plain one.
        iterators: methods whose async iterator becomes a plain one.
        decorators: class decorators that the base of the twins applies to these, too.
        callbacks: async functions as arguments, ``"Class.method.parameter"``; the twin takes plain
            ones, which run in a worker thread.
        streams: async iterables as arguments, like callbacks; the twin takes plain ones, and takes
            their steps in worker threads.
        left_out: public members and names that have no twin, and why.
        facades: hand-written module of ``icure_sync`` → the one of ``icure_async`` whose public
            names it must have.
        internal: modules of ``icure_async`` without public names. A new module needs a facade, a
            generated module, or an entry here or in the next table.
        shared_modules: modules without input and output, whose names are shared by both packages.
        shared_names: names that both packages share although they are async, and why.
        words: phrases of docstrings about async code → phrases about the twin.
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
    streams: tuple[str, ...]
    left_out: Mapping[str, str]
    facades: Mapping[str, str]
    internal: tuple[str, ...]
    shared_modules: tuple[str, ...]
    shared_names: Mapping[str, str]
    words: Mapping[str, str]


_BUILDERS: Final = ("AnonymousMedTechApiBuilder", "MedTechApiBuilder")
_STORAGES: Final = (
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
_STORES: Final = ("ProcessStore", "SessionStore")


def _twins(source: str, target: str, *classes: str) -> GeneratedModule:
    return GeneratedModule(f"icure_async.{source}", target, dict.fromkeys(classes, "twin"))


def _protocols(source: str, target: str, *classes: str) -> GeneratedModule:
    return GeneratedModule(f"icure_async.{source}", target, dict.fromkeys(classes, "protocol"))


RULES: Final = Rules(
    modules=(
        _twins("builders", "builders", *_BUILDERS),
        _twins("medtech", "medtech", "AnonymousMedTechApi", "MedTechApi"),
        _twins("authentication.api", "authentication", "AuthenticationApi"),
        GeneratedModule(
            "icure_async.authentication.result",
            "authentication_result",
            {"AuthenticationResult": "value"},
        ),
        _twins("apis.codings", "codings", "CodingApi"),
        _twins(
            "apis.healthcare_professionals", "healthcare_professionals", "HealthcareProfessionalApi"
        ),
        _twins("apis.data_samples", "data_samples", "DataSampleApi"),
        _twins("apis.healthcare_elements", "healthcare_elements", "HealthcareElementApi"),
        _twins("apis.medical_devices", "medical_devices", "MedicalDeviceApi"),
        _twins(
            "authentication.gateway_api",
            "message_gateway",
            "AnonymousMessageGatewayApi",
            "MessageGatewayApi",
        ),
        _twins("apis.events", "events", "Subscription"),
        _twins("apis.notifications", "notifications", "NotificationApi"),
        _twins("apis.patients", "patients", "PatientApi"),
        _twins("apis.users", "users", "UserApi"),
        _twins("apis.data_owners", "data_owners", "DataOwnerApi"),
        _twins("sandbox.server", "sandbox", "Sandbox"),
        _protocols("storage.protocols", "storage", "Storage", "KeyStorage"),
        _protocols("storage.locks", "locks", "LockableStorage"),
        _twins("storage.files", "files", "FileStorage"),
        _twins("storage.memory", "memory", "MemoryStorage"),
        _twins(
            "storage.key_storage",
            "key_storage",
            "StorageKeyStorage",
            "MemoryKeyStorage",
            "FileKeyStorage",
        ),
        _twins("storage.encrypted", "encrypted", "EncryptedStorage", "EncryptedKeyStorage"),
        _twins("storage.postgres", "postgres", "PostgresStorage", "PostgresKeyStorage"),
        _protocols("crypto.protocol", "crypto", "Crypto"),
        _twins("services.pool", "pool", "ApiPool"),
        _twins("services.processes", "processes", "ProcessStore"),
        _twins("services.sessions", "sessions", "SessionStore"),
    ),
    constructed=(*_BUILDERS, *_STORAGES, *_STORES, "ApiPool", "Sandbox"),
    portable=(*_BUILDERS, *_STORAGES, *_STORES),
    renamed={
        "aclose": "close",
        "__aenter__": "__enter__",
        "__aexit__": "__exit__",
        "__aiter__": "__iter__",
        "__anext__": "__next__",
    },
    closing=("aclose", "__aexit__"),
    awaitables=("Building",),
    entered=(
        "ApiPool.use",
        "EncryptedStorage.lock",
        "FileStorage.lock",
        "LockableStorage.lock",
        "MemoryStorage.lock",
        "PostgresStorage.lock",
        "StorageKeyStorage.lock",
    ),
    iterators=(
        "CodingApi.filter_coding",
        "DataSampleApi.filter_data_sample",
        "HealthcareElementApi.filter_healthcare_element",
        "HealthcareProfessionalApi.filter_healthcare_professional_by",
        "MedicalDeviceApi.filter_medical_devices",
        "NotificationApi.filter_notifications",
        "PatientApi.filter_patients",
        "PatientApi.iter_patients",
        "PatientApi.iter_patients_and_try_decrypt",
        "UserApi.export_data",
        "UserApi.filter_users",
    ),
    decorators=("explained",),
    callbacks=(
        "AnonymousMessageGatewayApi.start_process.progress",
        "AnonymousMedTechApiBuilder.on_key_change.notify",
        "AnonymousMedTechApiBuilder.with_public_key_policy.policy",
        "AnonymousMedTechApiBuilder.with_trust_on_first_use.confirm_change",
        "ApiPool.__init__.configure",
        "ApiPool.__init__.start",
        "AuthenticationApi.authenticate_and_ask_access_to_its_existing_data.find_key",
        "AuthenticationApi.complete_authentication.find_key",
        "AuthenticationApi.resend.progress",
        "AuthenticationApi.start_authentication.progress",
        "CodingApi.create_or_modify_codings.progress",
        "HealthcareElementApi.create_or_modify_healthcare_elements.progress",
        "DataSampleApi.save_data_sample_attachment_content.progress",
        "DataSampleApi.set_data_sample_attachment.progress",
        "MedTechApi.init_user_crypto.find_key",
        "MedTechApiBuilder.on_key_change.notify",
        "MedTechApiBuilder.with_public_key_policy.policy",
        "MedTechApiBuilder.with_second_factor.get_code",
        "MedTechApiBuilder.with_trust_on_first_use.confirm_change",
        "MedicalDeviceApi.create_or_modify_medical_devices.progress",
        "PatientApi.create_patients.progress",
        "PatientApi.iter_patients.progress",
        "PatientApi.iter_patients_and_try_decrypt.progress",
        "PatientApi.modify_patients.progress",
        "PatientApi.share_many.progress",
        "ProcessStore.complete.find_key",
        "ProcessStore.resend.progress",
        "Subscription.start.on_event",
        "Subscription.start.on_state",
    ),
    streams=("DataSampleApi.set_data_sample_attachment.body",),
    left_out={
        "AnonymousMedTechApiBuilder.with_client_session": (
            "An aiohttp.ClientSession belongs to the event loop of its caller, and blocking "
            "callers have none."
        ),
        "MedTechApiBuilder.with_client_session": "As for the other builder.",
        "StorageKeyStorage.storage": "An async object. Its user has made its twin.",
    },
    facades={
        "icure_sync": "icure_async",
        "icure_sync.errors": "icure_async.errors",
        "icure_sync.storage": "icure_async.storage",
        "icure_sync.sandbox": "icure_async.sandbox",
        "icure_sync.services": "icure_async.services",
    },
    internal=(
        "icure_async.cli",
        "icure_async.entities",
        "icure_async.environment",
        "icure_async.foreign_text",
        "icure_async.json_shapes",
        "icure_async.keys",
        "icure_async.mistakes",
        "icure_async.parts",
        "icure_async.rest",
        "icure_async.secret_holders",
        "icure_async.threads",
        "icure_async.tracebacks",
    ),
    shared_modules=(
        "icure_async.authentication.process",
        "icure_async.cautions",
        "icure_async.errors",
        "icure_async.hooks",
        "icure_async.models",
        "icure_async.sandbox.control.messages",
        "icure_async.sandbox.control.people",
        "icure_async.sandbox.control.requests",
        "icure_async.sandbox.faults",
        "icure_async.sandbox.master",
        "icure_async.services.hooks",
        "icure_async.services.http",
        "icure_async.services.session_values",
        "icure_async.services.statistics",
        "icure_async.services.users",
        "icure_async.storage.user_keys",
    ),
    shared_names={
        "MessageFactory": "Plain methods run in a worker thread, in both packages.",
        "StorageLock": "A value.",
    },
    words={
        "the event loop and the process in which": "the process in which",
        "another event loop or process": "another process",
        "async for": "for",
        "an async function that": "a function that",
        "async iterable": "iterable",
        "async with": "with",
        "aclose()": "close()",
        ":meth:`aclose`": ":meth:`close`",
        "~icure_async.storage.Storage`": "~icure_sync.storage.BlockingStorage`",
        "~icure_async.storage.KeyStorage`": "~icure_sync.storage.BlockingKeyStorage`",
        "icure_async.": "icure_sync.",
        "tasks, threads and": "threads and",
        "A write that is cancelled has": "A write that Ctrl-C interrupts has",
        "Use an object from one event loop at a time.": "Threads may share an object.",
        "An open ``AsyncConnectionPool`` of psycopg_pool for two connections or more serves.": (
            "A pool of psycopg_pool does not serve: its own one is shared by all threads."
        ),
        "Return the API object to await or to enter.": (
            "Return the API object; entered with ``with``, it is closed at the end."
        ),
    },
)
