"""The whole story on a fresh sandbox, told step by step by ``icure demo``."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from icure_async.builders import AnonymousMedTechApiBuilder, MedTechApiBuilder
from icure_async.json_shapes import as_object
from icure_async.models.patient import Patient
from icure_async.sandbox import Sandbox

if TYPE_CHECKING:
    from icure_async.authentication.process import AuthenticationProcess
    from icure_async.authentication.result import AuthenticationResult
    from icure_async.models.flavour import Flavour

__all__ = ["Demo"]

_PHONE: Final = "+32588235595"
_NOTE: Final = "You must keep one's head"
_SHOWN: Final = 40
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Demo:
    """Registers a person by SMS, writes an encrypted patient, logs in again, and reads it.

    Args:
        console: to write to.
        flavour: of iCure to speak with.
    """

    def __init__(self, console: Console | None = None, flavour: Flavour = "medtech") -> None:
        self._console = console or Console()
        self._flavour: Flavour = flavour
        self._requests: list[str] = []
        self._step = 0
        self._total = 0

    async def run(self) -> None:
        """Run the story. Nothing outside this machine is contacted, nothing is left behind."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._record)
        with TemporaryDirectory(prefix="icure-demo-") as directory:
            async with (
                Sandbox() as sandbox,
                aiohttp.ClientSession(trace_configs=[trace]) as client_session,
            ):
                await self._story(sandbox, client_session, Path(directory) / "device")

    async def _story(
        self, sandbox: Sandbox, client_session: aiohttp.ClientSession, device: Path
    ) -> None:
        self._say(f"A sandbox backend and message gateway listen at [b]{sandbox.icure_url}[/b].")
        anonymous_api = await (
            AnonymousMedTechApiBuilder()
            .with_flavour(self._flavour)
            .with_icure_base_url(sandbox.icure_url)
            .with_msg_gw_url(sandbox.msg_gw_url)
            .with_msg_gw_spec_id(sandbox.spec_id)
            .with_auth_process_by_sms_id(sandbox.patient_process_by_sms_id)
            .with_storage_directory(device)
            .with_client_session(client_session)
            .build()
        )

        self._begin("Ned Stark asks to register by SMS")
        process = await anonymous_api.authentication_api.start_authentication(
            self._captcha("a-captcha-solution"),
            phone_number=_PHONE,
            first_name="Ned",
            last_name="Stark",
            healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        )
        self._end()
        self._say(f"The process, as it may be saved: {escape(str(process.to_dict()))}")

        self._begin("He enters the code from the message")
        result = await self._complete(sandbox, anonymous_api.authentication_api, process)
        self._end()
        self._show_keys(result, device)

        self._begin("He writes an encrypted patient")
        patient = await result.med_tech_api.patient_api.create_or_modify_patient(
            Patient(first_name="Robb", last_name="Stark", gender="male", note=_NOTE)
        )
        self._end()
        stored = await sandbox.stored("patient", str(patient.id)) or {}
        self._compare(stored, patient)

        self._begin("The program starts again, with the saved token and key pair")
        api = await (
            MedTechApiBuilder()
            .with_flavour(self._flavour)
            .with_icure_base_url(sandbox.icure_url)
            .with_user_name(process.login)
            .with_password(result.token)
            .with_client_session(client_session)
            .build()
        )
        await api.init_user_crypto(result.key_pairs[0])
        read = await api.patient_api.get_patient(str(patient.id))
        self._end()
        self._say(f"He reads: [green]{escape(str(read.note))}[/green]")

        self._begin("He logs in again, with a new code")
        process = await anonymous_api.authentication_api.start_authentication(
            self._captcha("another-captcha-solution"), phone_number=_PHONE
        )
        again = await self._complete(sandbox, anonymous_api.authentication_api, process)
        read = await again.med_tech_api.patient_api.get_patient(str(patient.id))
        self._end()
        self._say(f"He reads: [green]{escape(str(read.note))}[/green]")

        self._begin("The professional who invited him reads it too: he shares with her")
        master = sandbox.master_hcp
        hcp_api = await (
            MedTechApiBuilder()
            .with_flavour(self._flavour)
            .with_icure_base_url(sandbox.icure_url)
            .with_user_name(master.login)
            .with_password(master.password)
            .with_client_session(client_session)
            .build()
        )
        await hcp_api.init_user_crypto(master.key_pair)
        read = await hcp_api.patient_api.get_patient(str(patient.id))
        self._end()
        self._say(f"She reads: [green]{escape(str(read.note))}[/green]")

        for opened in (hcp_api, again.med_tech_api, api, result.med_tech_api, anonymous_api):
            await opened.aclose()
        self._console.print(
            f"\n[b]Done[/b] with {self._total} requests. The server never saw a private key, nor "
            "the note."
        )

    def _captcha(self, solution: str) -> str | None:
        """Return the solution of a captcha; None in today's flavour, where the SDK solves one."""
        return solution if self._flavour == "medtech" else None

    async def _complete(
        self, sandbox: Sandbox, authentication_api: Any, process: AuthenticationProcess
    ) -> AuthenticationResult:
        code = await sandbox.wait_for_code(process.login, timeout=5)
        self._say(f"SMS to {process.login}: [b]{code}[/b]")
        result: AuthenticationResult = await authentication_api.complete_authentication(
            process, code
        )
        return result

    def _show_keys(self, result: AuthenticationResult, device: Path) -> None:
        self._say(f"User {result.user_id} is registered, with a token for later.")
        for file in sorted((device / "keys").iterdir()):
            mode = stat.filemode(file.stat().st_mode)
            self._say(f"His private key is on this device only: {mode} {file.name}")

    def _compare(self, stored: dict[str, Any], patient: Patient) -> None:
        table = Table(title="One patient, seen twice", title_justify="left", show_lines=False)
        table.add_column("member")
        table.add_column("what the server stores")
        table.add_column("what the reader sees")
        seen = patient.to_dict()
        for name in ("firstName", "lastName", "gender", "note"):
            table.add_row(name, _short(stored.get(name)), _short(seen.get(name)))
        table.add_row("encryptedSelf", _short(stored.get("encryptedSelf")), "(the note)")
        member = "encryptionKeys"
        readers = as_object(stored.get(member))
        if self._flavour == "cardinal":
            member = "securityMetadata"
            readers = as_object(as_object(stored.get(member)).get("secureDelegations"))
        table.add_row(member, f"one for each of {len(readers)} readers", "")
        self._console.print(table)

    def _begin(self, title: str) -> None:
        self._step += 1
        self._requests.clear()
        self._console.print(f"\n[b cyan]{self._step}. {title}[/b cyan]")

    def _end(self) -> None:
        for line in self._requests:
            self._console.print(f"   [dim]{escape(line)}[/dim]", highlight=False, soft_wrap=True)
        self._total += len(self._requests)

    def _say(self, text: str) -> None:
        self._console.print(f"   {text}", highlight=False, soft_wrap=True)

    async def _record(
        self, _session: aiohttp.ClientSession, _context: Any, params: aiohttp.TraceRequestEndParams
    ) -> None:
        path = params.url.path
        if "/process/validate/" in path:
            path = path.rpartition("-")[0] + "-(the code)"
        path = _UUID.sub(lambda match: match[0][:8] + "…", path)
        self._requests.append(f"{params.method:6} {path} → {params.response.status}")


def _short(value: object) -> str:
    if value is None:
        return "—"
    text = str(value)
    return escape(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
