"""The part of ``icure doctor`` that asks the backend and the gateway, without credentials."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

import yarl

from icure_async.cli.findings import bad, doubtful, good
from icure_async.cli.probes import Probes
from icure_async.cli.profiles import SETTINGS
from icure_async.errors import ICureError
from icure_async.foreign_text import printable
from icure_async.rest.proxies import is_loopback
from icure_async.rest.responses import NO_SUCH_ROUTE
from icure_async.rest.urls import (
    DEFAULT_GATEWAY_URL,
    normalise_base_url,
    normalise_gateway_url,
    path,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from icure_async.cli.choices import Choices
    from icure_async.cli.findings import Finding
    from icure_async.rest.responses import Response

__all__ = ["check_encryption", "check_servers"]

_MOST_SKEW_SECONDS: Final = 120
_WANTS_CREDENTIALS: Final = 401
_LONGEST_VERSION: Final = 100


async def check_servers(choices: Choices) -> list[Finding]:
    """Return the findings about the backend, the clock, the gateway and its ids."""
    async with Probes() as probes:
        found = await _check_backend(probes, choices)
        return found + await _check_gateway(probes, choices)


async def _check_backend(probes: Probes, choices: Choices) -> list[Finding]:
    try:
        url = normalise_base_url(choices.need("url"), "with_icure_base_url")
    except ICureError as error:
        return [bad("Backend", str(error), _set(choices, "url"))]
    try:
        version = await probes.version(url)
    except ICureError as error:
        return [bad("Backend", str(error), f"check the network, or {_set(choices, 'url')}")]
    if not _is_version(version):
        found = f"something else than a backend answers at {url} (HTTP {version.status})"
        return [bad("Backend", found, _set(choices, "url"))]
    named = printable(version.body.decode("utf-8", "replace").strip(), _LONGEST_VERSION)
    return [
        good("Backend", f"{url} answers, version {named}"),
        *check_encryption("Backend", url, _set(choices, "url")),
        *_check_clock(version),
    ]


def _is_version(answer: Response) -> bool:
    return answer.status == 200 and bool(answer.body.strip()) and not answer.looks_like_a_page


def check_encryption(name: str, url: str, step: str) -> Iterator[Finding]:
    """Yield a finding where a URL of another machine is not encrypted."""
    parsed = yarl.URL(url)
    if parsed.scheme == "http" and not is_loopback(parsed.host or ""):
        yield bad(name, f"{url} sends passwords and tokens over the network in clear", step)


def _check_clock(answer: Response) -> Iterator[Finding]:
    if answer.server_time is None:
        yield doubtful("Clock", "the backend does not tell its time", "see that NTP is on")
        return
    seconds = round(answer.clock_skew)
    if abs(seconds) <= _MOST_SKEW_SECONDS:
        yield good("Clock", "the clock of this machine agrees with the backend's")
        return
    way = "behind" if seconds > 0 else "ahead of"
    found = f"the clock of this machine is {abs(seconds)} seconds {way} the backend's"
    yield bad("Clock", found, "set it, best by NTP: tokens seem to end too early or too late")


async def _check_gateway(probes: Probes, choices: Choices) -> list[Finding]:
    processes = {
        name: value
        for name in SETTINGS
        if name.endswith("_process_id") and (value := choices.get(name))
    }
    spec_id = choices.get("spec_id")
    if spec_id is None and not processes:
        found = "no message gateway is configured, which codes by email and SMS need"
        return [doubtful("Gateway", found, _set(choices, "spec_id"))]
    if spec_id is None or not processes:
        missing = "spec_id" if spec_id is None else "patient_sms_process_id"
        found = "the spec id is missing" if spec_id is None else "there is no id of a process"
        return [bad("Gateway", found, _set(choices, missing))]
    url = choices.get("gateway_url") or DEFAULT_GATEWAY_URL
    gateway = normalise_gateway_url(url, "with_msg_gw_url")
    insecure = check_encryption("Gateway", gateway, _set(choices, "gateway_url"))
    answers: dict[str, Response] = {}
    for name, process_id in processes.items():
        try:
            answers[name] = await probes.start_nothing(
                gateway + path(spec_id), process_id, str(uuid.uuid4())
            )
        except ICureError as error:
            step = f"check the network, or {_set(choices, 'gateway_url')}"
            return [bad("Gateway", str(error), step), *insecure]
    return [*_judge(choices, gateway, answers), *insecure]


def _judge(choices: Choices, gateway: str, answers: Mapping[str, Response]) -> Iterator[Finding]:
    """Yield findings about the gateway, the spec id and the processes.

    A gateway that does not know one of the ids answers 404, and refuses all else of the request.
    """
    first = next(iter(answers.values()))
    unknown = [name for name, answer in answers.items() if answer.status in NO_SUCH_ROUTE]
    if first.looks_like_a_page or any(answer.status >= 500 for answer in answers.values()):
        found = f"something else than a message gateway answers at {gateway} (HTTP {first.status})"
        yield bad("Gateway", found, _set(choices, "gateway_url"))
        return
    if len(unknown) == len(answers) and not _blames(first, "process"):
        if not _blames(first, "spec"):
            found = f"no message gateway answers at {gateway}, or it does not know the spec id"
            yield bad("Gateway", found, f"{_set(choices, 'gateway_url')}; then the spec id")
            return
        yield good("Gateway", f"{gateway} answers")
        found = f"the gateway does not know the application {choices.get('spec_id')}"
        yield bad("Spec id", found, _set(choices, "spec_id"))
        return
    if all(answer.status == _WANTS_CREDENTIALS for answer in answers.values()):
        found = f"{gateway} asks for credentials, as a backend does and a gateway does not"
        yield doubtful("Gateway", found, f"if codes do not arrive, {_set(choices, 'gateway_url')}")
        return
    yield good("Gateway", f"{gateway} answers")
    yield good("Spec id", f"the gateway knows {choices.get('spec_id')}")
    for name in answers:
        value = choices.get(name)
        if name in unknown:
            found = f"the gateway does not know {value}, the {SETTINGS[name].meaning}"
            yield bad("Process", found, _set(choices, name))
        else:
            yield good("Process", f"the gateway knows {value}, the {SETTINGS[name].meaning}")


def _blames(answer: Response, what: str) -> bool:
    return what in (_message(answer) or "").lower()


def _message(answer: Response) -> str | None:
    error = answer.error()
    return None if error is None else error.server_message


def _set(choices: Choices, name: str) -> str:
    setting = SETTINGS[name]
    return f"set {setting.variable}, or 'icure config set {choices.profile} {setting.option} …'"
