"""The message gateway: authentication processes, codes, emails and text messages (§13)."""

from __future__ import annotations

import functools
import hmac
import re
from typing import TYPE_CHECKING, Literal

import attrs

from icure_async.sandbox import chance, hashing
from icure_async.sandbox.auth import caller_by_basic, users_named
from icure_async.sandbox.calls import Call, Reply, Route, Text
from icure_async.sandbox.contacts import is_email, is_phone
from icure_async.sandbox.data_owners import find_data_owner
from icure_async.sandbox.entities import first_revision, next_revision
from icure_async.sandbox.errors import (
    ApiError,
    bad_request,
    conflict,
    not_found,
    unauthorized,
    unprocessable,
)
from icure_async.sandbox.proof_of_work import Challenges
from icure_async.sandbox.users import add_token

if TYPE_CHECKING:
    from icure_async.sandbox.control.codes import FixedCodes
    from icure_async.sandbox.control.messages import Channel
    from icure_async.sandbox.mailbox import Mailbox
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["PROCESSES", "SPEC_ID", "Gateway", "ProcessDefinition"]

SPEC_ID = "ic"
_CODE_TOKEN_VALIDITY = 600
_DEFAULT_CODE_LENGTH = 6
_SHORTEST_CODE, _LONGEST_CODE = 4, 12
_SENDER = "no-reply@sandbox.example"
_CAPTCHAS = ("g-recaptcha-response", "friendly-captcha-response", "captcha")
_PROOF_OF_WORK = "kerberus-response"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_VALIDATION = re.compile(rf"(?P<request>{_UUID.pattern})-(?P<code>.+)")


@attrs.frozen
class ProcessDefinition:
    """A process of the gateway, named by its id."""

    process_id: str
    creates: Literal["patient", "hcparty"]


PROCESSES: dict[str, ProcessDefinition] = {
    definition.process_id: definition
    for definition in (
        ProcessDefinition("patient-sms", "patient"),
        ProcessDefinition("patient-email", "patient"),
        ProcessDefinition("hcp-sms", "hcparty"),
        ProcessDefinition("hcp-email", "hcparty"),
    )
}
"""The processes that exist, by id."""


class Gateway:
    """The endpoints of the gateway.

    Args:
        mailbox: takes its messages.
        codes: those of contacts that are always sent the same one.
        difficulty: hashes that each nonce of a captcha by proof of work takes on average.
    """

    def __init__(self, mailbox: Mailbox, codes: FixedCodes, difficulty: int) -> None:
        self._mailbox = mailbox
        self._codes = codes
        self._challenges = Challenges(SPEC_ID, difficulty)
        self.routes: list[Route] = [
            Route("GET", "/{spec}/challenge", self._challenge, public=True),
            Route("GET", "/{spec}/process/validate/{validation}", self._validate, public=True),
            Route("POST", "/{spec}/process/{process}/{request}", self._start, public=True),
            Route("POST", "/{spec}/email/to/{contact}", self._send_email, public=True),
            Route("POST", "/{spec}/sms/to/{contact}", self._send_sms, public=True),
            Route("GET", "/{spec}/lastEmail/{contact}", self._last_email, public=True),
            Route("GET", "/{spec}/lastSMS/{contact}", self._last_sms, public=True),
        ]

    def _challenge(self, _tx: Transaction, call: Call) -> Json:
        _check_spec(call)
        return self._challenges.issue(call.now_ms)

    def _start(self, tx: Transaction, call: Call) -> Text:
        _check_spec(call)
        definition = PROCESSES.get(call.params["process"])
        if definition is None:
            raise not_found("There is no such process")
        request_id = call.params["request"].lower()
        if not _UUID.fullmatch(request_id):
            raise bad_request("The request id must be a UUID")
        length = call.integer_query("codeLength")
        if length is None:
            length = _DEFAULT_CODE_LENGTH
        if not _SHORTEST_CODE <= length <= _LONGEST_CODE:
            raise bad_request(f"codeLength must be between {_SHORTEST_CODE} and {_LONGEST_CODE}")
        body = call.json_object()
        self._check_captcha(call, body)
        deployment = _deployment(body)
        email, phone = _contacts(body)
        if tx.process(request_id) is not None:
            raise conflict("This request id is already in use")
        hcp_id = _text(body, "hcpId")
        # Today's clients name the backend, and no professional.
        knows_whom = bool(deployment) or _may_register(tx, call, definition, hcp_id)
        if _user_of(tx, email or phone) is None and not knows_whom:
            raise unprocessable(
                "A new patient needs a healthcare professional who is known here: hcpId must be "
                "the id of one. Nothing was sent"
            )
        code = self._codes.code_for(email or phone) or chance.digits(length)
        tx.put_process(
            request_id,
            {
                "process": definition.process_id,
                "code": hashing.hash_code(code),
                "created": call.now_ms,
                "attempts": 0,
                "validated": False,
                "email": email,
                "mobilePhone": phone,
                "firstName": _text(body, "firstName"),
                "lastName": _text(body, "lastName"),
                "hcpId": hcp_id,
                "deployment": deployment,
            },
        )
        channel: Channel = "email" if email else "sms"
        message = (
            {"from": _SENDER, "subject": code, "html": f"<p>{code}</p>"}
            if email
            else {"message": code}
        )
        call.after_commit.append(
            functools.partial(
                self._mailbox.deliver_code,
                channel,
                email or phone,
                message,
                code,
                request_id=request_id,
                sent_at=call.now_ms,
                expires_at=call.now_ms + int(call.settings.code_validity * 1000),
            )
        )
        return Text("ok")

    def _check_captcha(self, call: Call, body: Json) -> None:
        if body.get(_PROOF_OF_WORK) is not None:
            self._challenges.redeem(body[_PROOF_OF_WORK], call.now_ms)
            return
        solution = next((text for name in _CAPTCHAS if (text := _text(body, name))), "")
        if not solution:
            raise bad_request("The solution of a captcha is missing")
        accepted = call.settings.captcha
        if accepted is not None and not hmac.compare_digest(solution.encode(), accepted.encode()):
            raise ApiError(403, "The solution of the captcha was refused")

    def _validate(self, tx: Transaction, call: Call) -> bool | Reply:
        _check_spec(call)
        parts = _VALIDATION.fullmatch(call.params["validation"])
        if parts is None:
            raise bad_request("A validation is a request id (a UUID), a dash and a code")
        request_id = parts["request"].lower()
        process = tx.process(request_id)
        if process is None:
            raise not_found("There is no such request")
        if process["validated"]:
            raise ApiError(410, "This request was validated already")
        if process["attempts"] >= call.settings.max_code_attempts:
            raise ApiError(429, "Too many wrong codes: start a new process")
        if call.now_ms > process["created"] + call.settings.code_validity * 1000:
            raise ApiError(410, "The code has expired: start a new process")
        if not hashing.matches(parts["code"], process["code"], call.slow):
            attempts = process["attempts"] + 1
            tx.put_process(request_id, {**process, "attempts": attempts})
            if attempts >= call.settings.max_code_attempts:
                self._settle(call, request_id, "closed")
                return Reply(
                    429, {"message": "The code is wrong, and was the last one to be tried"}
                )
            return Reply(401, {"message": "The code is wrong"})
        tx.put_process(request_id, {**process, "validated": True})
        user = _user_of_process(tx, call, process)
        add_token(
            user,
            request_id,
            parts["code"],
            now_ms=call.now_ms,
            validity=_CODE_TOKEN_VALIDITY,
            slow=call.slow,
        )
        tx.put("user", {**user, "rev": next_revision(user["rev"])})
        self._settle(call, request_id, "used")
        return True

    def _settle(self, call: Call, request_id: str, state: Literal["used", "closed"]) -> None:
        call.after_commit.append(functools.partial(self._mailbox.settle, request_id, state))

    def _send_email(self, tx: Transaction, call: Call) -> Text:
        _check_spec(call)
        _require_user(tx, call)
        address = call.params["contact"]
        if not is_email(address):
            raise bad_request("The email address is not valid")
        body = call.json_object()
        message = {name: _text(body, name) for name in ("from", "subject", "html")}
        if not (message["subject"] or message["html"]):
            raise bad_request("The email is empty")
        return self._send(call, "email", address, message)

    def _send_sms(self, tx: Transaction, call: Call) -> Text:
        _check_spec(call)
        _require_user(tx, call)
        number = call.params["contact"]
        if not is_phone(number):
            raise bad_request("The phone number is not valid")
        message = {"message": _text(call.json_object(), "message")}
        if not message["message"]:
            raise bad_request("The message is empty")
        return self._send(call, "sms", number, message)

    def _send(self, call: Call, channel: Channel, contact: str, message: Json) -> Text:
        call.after_commit.append(
            functools.partial(self._mailbox.deliver, channel, contact, message, sent_at=call.now_ms)
        )
        return Text("ok")

    def _last_email(self, _tx: Transaction, call: Call) -> Json:
        return self._last(call, "email")

    def _last_sms(self, _tx: Transaction, call: Call) -> Json:
        return self._last(call, "sms")

    def _last(self, call: Call, channel: Channel) -> Json:
        _check_spec(call)
        message = self._mailbox.last(channel, call.params["contact"])
        if message is None:
            raise not_found("Nothing was sent to this contact")
        return message


def _check_spec(call: Call) -> None:
    if call.params["spec"] != SPEC_ID:
        raise not_found("There is no such spec id")


def _require_user(tx: Transaction, call: Call) -> None:
    header = call.headers.get("Authorization", "")
    if header.partition(" ")[0].lower() != "basic":
        raise unauthorized("The gateway needs Basic credentials of a user")
    caller_by_basic(tx, call, header)


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise bad_request(f"{name} must be a string")
    return value.strip() if name != "html" else value


def _deployment(body: Json) -> str:
    """Return the URL of the backend that today's clients name, or an empty text."""
    deployment = _text(body, "deployment")
    if deployment and not deployment.startswith(("http://", "https://")):
        raise bad_request("deployment must be the URL of a backend")
    return deployment


def _contacts(body: Json) -> tuple[str, str]:
    email, phone = _text(body, "email"), _text(body, "mobilePhone")
    if not (email or phone):
        raise bad_request("An email or a mobile phone is needed to send a code")
    if email and not is_email(email):
        raise bad_request("The email address is not valid")
    if phone and not is_phone(phone):
        raise bad_request("The phone number is not valid")
    return email, phone


def _user_of(tx: Transaction, contact: str) -> Json | None:
    """Return the user who owns a contact, if there is one: a process is then a login."""
    users = (user for user in users_named(tx, contact) if not user.get("deletionDate"))
    return next(users, None)


def _is_data_owner(tx: Transaction, owner_id: str) -> bool:
    return bool(owner_id) and find_data_owner(tx, owner_id) is not None


def _may_register(tx: Transaction, call: Call, definition: ProcessDefinition, hcp_id: str) -> bool:
    """Return whether somebody new may register: a patient, with a professional to share with."""
    if definition.creates != "patient" or call.settings.lenient:
        return True
    hcp = tx.get("hcparty", hcp_id) if hcp_id else None
    return hcp is not None and not hcp.get("deletionDate")


def _user_of_process(tx: Transaction, call: Call, process: Json) -> Json:
    """Return the user who owns the contact, created with its data owner when there is none."""
    login: str = process["email"] or process["mobilePhone"]
    existing = _user_of(tx, login)
    if existing is not None:
        return existing
    definition = PROCESSES[process["process"]]
    is_of_today = bool(process.get("deployment"))
    if not is_of_today and not _may_register(tx, call, definition, process["hcpId"]):
        raise not_found("The account or the professional of this process is gone: start a new one")
    now = call.now_ms
    names = {name: process[name] for name in ("firstName", "lastName") if process[name]}
    telecoms = [
        {"telecomType": telecom_type, "telecomNumber": process[prop]}
        for telecom_type, prop in (("email", "email"), ("mobile", "mobilePhone"))
        if process[prop]
    ]
    user: Json = {
        "id": chance.new_id(),
        "rev": first_revision(),
        "created": now,
        "name": login,
        "login": login,
        "status": "ACTIVE",
        "groupId": tx.meta("group"),
    }
    user |= {prop: process[prop] for prop in ("email", "mobilePhone") if process[prop]}
    owner: Json = {
        "id": chance.new_id(),
        "rev": first_revision(),
        # Today's clients encrypt these two, and refuse to touch a record that has them in clear.
        **({} if is_of_today else {"created": now, "modified": now}),
        **names,
        "addresses": [{"addressType": "home", "telecoms": telecoms}],
    }
    if definition.creates == "patient":
        user["patientId"] = owner["id"]
        owner |= {"author": user["id"], "responsible": owner["id"]}
    else:
        user["healthcarePartyId"] = owner["id"]
        owner["userId"] = user["id"]
        if "lastName" not in names:
            # The backend keeps no professional without any name.
            owner["name"] = login
    if definition.creates == "patient" and _is_data_owner(tx, process["hcpId"]):
        user["autoDelegations"] = {"all": [process["hcpId"]]}
    tx.put(definition.creates, owner)
    tx.put("user", user)
    return user
