"""Examples of docstrings, run in a small world: a sandbox, and people who are logged in to it."""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import os
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sync_examples import blocking
from tests.support.doc_pages import Package, close_all, finish, loop_thread, restore

__all__ = ["PLACES", "ExampleWorld", "docstrings_of"]

PLACES: Final = ("", ".storage", ".errors", ".sandbox", ".services")
OPTIONS: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL

# The names that examples may use, and the code of ``icure_async`` that makes them. All docstrings
# of a package share the first ones.
SHARED: Final = {
    "sandbox": """
sandbox = Sandbox()
await sandbox.start()
os.environ.update(sandbox.environment)
professional_id = sandbox.master_hcp.data_owner_id
process_id = sandbox.patient_process_by_sms_id
captcha = "any text"
""",
    "login": """
login, token = sandbox.master_hcp.login, sandbox.master_hcp.password
key_pair = sandbox.master_hcp.key_pair
api = await MedTechApiBuilder.from_env().with_user_name(login).with_password(token).build()
user_id = (await api.user_api.get_logged_user()).id
await api.init_user_crypto(key_pair)
""",
    "anonymous_api": """
builder = AnonymousMedTechApiBuilder.from_env(user_type="hcp").with_in_memory_keys()
anonymous_api = await builder.build()
process = await anonymous_api.authentication_api.start_authentication(
    captcha, phone_number="+32470555555", first_name="Samwell", last_name="Tarly"
)
code = await sandbox.wait_for_code("+32470555555")
result = await anonymous_api.authentication_api.complete_authentication(process, code)
colleague_api, colleague_id = result.med_tech_api, result.data_owner_id
await anonymous_api.aclose()
builder = AnonymousMedTechApiBuilder.from_env(user_type="patient").with_in_memory_keys()
anonymous_api = await builder.build()
""",
}
OWN: Final = {
    "patient": """
patient = await api.patient_api.create_or_modify_patient(
    Patient(first_name="Arya", last_name="Stark", note="Afraid of nothing")
)
""",
    "condition": """
condition = await api.healthcare_element_api.create_or_modify_healthcare_element(
    HealthcareElement(description="Asthma", note="Since childhood"), patient.id
)
""",
    "sample": """
sample = await api.data_sample_api.create_or_modify_data_sample_for(
    patient.id, DataSample(content={"en": Content(string_value="Tired")})
)
""",
    "document": """
sample = await api.data_sample_api.create_or_modify_data_sample_for(patient.id, DataSample())
document = await api.data_sample_api.set_data_sample_attachment(
    sample.id, b"%PDF...", document_name="scan.pdf", document_language="en"
)
""",
    "notification": """
notification = await api.notification_api.create_or_modify_notification(
    Notification(type="OTHER"), colleague_id
)
""",
    "user": """
user = await api.user_api.create_or_modify_user(
    User(
        login=f"user-{number}",
        email=f"user-{number}@winterfell.example",
        mobile_phone=f"+3247100{number:04}",
    )
)
""",
    "professional": """
professional = HealthcareProfessional(first_name="Maester", last_name="Luwin")
professionals = api.healthcare_professional_api
professional = await professionals.create_or_modify_healthcare_professional(professional)
""",
    "device": """
device = await api.medical_device_api.create_or_modify_medical_device(
    MedicalDevice(name="Glucose meter")
)
""",
    "coding": """
coding = await api.coding_api.create_or_modify_coding(
    Coding(
        type="SNOMED",
        code="386661006",
        version="2024",
        regions=["be"],
        description={"en": "Fever"},
    )
)
""",
    "process": """
phone_number = f"+3247200{number:04}"
process = await anonymous_api.authentication_api.start_authentication(
    captcha,
    phone_number=phone_number,
    first_name="Brienne",
    last_name="Tarth",
    healthcare_professional_id=professional_id,
)
code = await sandbox.wait_for_code(phone_number)
""",
    "own_api": """
phone_number = f"+3247300{number:04}"
process = await anonymous_api.authentication_api.start_authentication(
    captcha,
    phone_number=phone_number,
    first_name="Gendry",
    last_name="Waters",
    healthcare_professional_id=professional_id,
)
code = await sandbox.wait_for_code(phone_number)
result = await anonymous_api.authentication_api.complete_authentication(process, code)
own_api, own_user_id = result.med_tech_api, result.user_id
""",
    "invited": """
email = f"invited-{number}@winterfell.example"
addresses = [Address(telecoms=[Telecom(telecom_type="email", telecom_number=email)])]
patient = await api.patient_api.create_or_modify_patient(
    Patient(first_name="Bran", last_name="Stark", addresses=addresses)
)
invitation = ICureRegistrationEmail(patient, "https://app.example", "Clinic", patient)
invited = await api.user_api.create_and_invite_user(patient, invitation)
token = (await sandbox.wait_for_message(email))["html"].rpartition(" & ")[2]
""",
    "pool": """
keys = MemoryKeyStorage()
await keys.store_key_pair(result.data_owner_id, result.key_pairs[0])
pool = ApiPool(MedTechApiBuilder.from_env().with_key_storage(keys))
""",
    "sessions": """
sessions = SessionStore(MemoryStorage())
session_id = await sessions.create(result)
""",
    "processes": """
processes = ProcessStore(MemoryStorage())
""",
}
OPENED: Final = ("anonymous_api", "colleague_api", "api", "sandbox")
# Names that the code for another one makes, too.
TOGETHER: Final = {
    "code": "process",
    "condition": "patient",
    "document": "patient",
    "own_user_id": "own_api",
    "sample": "patient",
}


class ExampleWorld:
    """The names that examples of a package find, and the examples, run."""

    def __init__(self, package: Package) -> None:
        self._package: Final[Package] = package
        self._stack: Final = contextlib.ExitStack()
        self._loop: Final = self._stack.enter_context(loop_thread())
        self._number = 0
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        before = dict(os.environ)
        self._stack.callback(restore, before)
        self._shared: dict[str, Any] = {"os": os, "folder": Path(folder)}
        for place in PLACES:
            module = importlib.import_module(package + place)
            self._shared |= {name: getattr(module, name) for name in module.__all__}
        for code in SHARED.values():
            self._make(code, self._shared)

    def close(self) -> None:
        """Close everything."""
        close_all([self._shared[name] for name in OPENED], self._loop)
        self._stack.close()

    def _make(self, code: str, names: dict[str, Any]) -> None:
        self._run(code if self._package == "icure_async" else blocking(code), names)

    def _run(self, code: str, names: dict[str, Any], mode: str = "exec") -> None:
        compiled = compile(code, "<example>", mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(compiled, names)
        if inspect.iscoroutine(result):
            finish(result, self._loop)

    def wrong_with(self, docstring: str) -> str | None:
        """Run the examples of a docstring, and return what is wrong with them."""
        self._number += 1
        names = {**self._shared, "number": self._number}
        examples = doctest.DocTestParser().get_examples(docstring)
        used = {
            node.id
            for example in examples
            for node in ast.walk(ast.parse(example.source))
            if isinstance(node, ast.Name)
        }
        used |= {TOGETHER[name] for name in used & TOGETHER.keys()}
        for name, code in OWN.items():
            if name in used:
                self._make(code, names)
        try:
            return self._first_wrong(examples, names)
        finally:
            shared = [*self._shared.values()]
            close_all([each for each in names.values() if each not in shared], self._loop)

    def _first_wrong(self, examples: list[doctest.Example], names: dict[str, Any]) -> str | None:
        for example in examples:
            got = self._printed_by(example, names)
            want = example.want if example.exc_msg is None else f"{example.exc_msg.split(':')[0]}\n"
            if not doctest.OutputChecker().check_output(want, got, OPTIONS):
                return f"{example.source}Expected:\n{want}Got:\n{got}"
        return None

    def _printed_by(self, example: doctest.Example, names: dict[str, Any]) -> str:
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                self._run(example.source, names, "single")
        except Exception as error:
            if example.exc_msg is not None:
                return f"{type(error).__name__}\n"
            return "".join(traceback.format_exception(error))
        return printed.getvalue()


def docstrings_of(package: Package) -> Iterator[tuple[str, str]]:
    """Yield the public classes of a package and their methods, each with its docstring."""
    seen: set[object] = set()
    for place in PLACES:
        module = importlib.import_module(package + place)
        for name in module.__all__:
            cls = getattr(module, name)
            # Classes that both packages share have examples of icure_async.
            is_ours = inspect.isclass(cls) and cls.__module__.startswith(package)
            if not is_ours or cls in seen:
                continue
            seen.add(cls)
            yield f"{package}{place}.{name}", inspect.getdoc(cls) or ""
            for member in dir(cls):
                thing = inspect.getattr_static(cls, member)
                function = thing.__func__ if isinstance(thing, classmethod) else thing
                if inspect.isfunction(function) and function not in seen:
                    seen.add(function)
                    yield f"{package}{place}.{name}.{member}", inspect.getdoc(function) or ""
