"""A running sandbox, described for the programs that wait for it."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

    from icure_async.sandbox import Sandbox

__all__ = ["description_of", "exports_of", "ready_file"]


def exports_of(sandbox: Sandbox) -> dict[str, str]:
    """Return what a shell exports: the addresses, and the credentials of the professional."""
    master = sandbox.master_hcp
    return sandbox.environment | {
        "ICURE_SANDBOX_PROFESSIONAL_ID": master.data_owner_id,
        "ICURE_SANDBOX_LOGIN": master.login,
        "ICURE_SANDBOX_PASSWORD": master.password,
    }


def description_of(sandbox: Sandbox) -> dict[str, Any]:
    """Return a sandbox as one JSON object, with everything that a program needs to use it."""
    master = sandbox.master_hcp
    return {
        "pid": os.getpid(),
        "icureUrl": sandbox.icure_url,
        "icureV2Url": sandbox.icure_v2_url,
        "backendUrl": sandbox.backend_url,
        "msgGwUrl": sandbox.msg_gw_url,
        "controlUrl": sandbox.control_url,
        "pageUrl": sandbox.page_url,
        "controlToken": sandbox.page_url.partition("#")[2],
        "specId": sandbox.spec_id,
        "processIds": {
            "patientSms": sandbox.patient_process_by_sms_id,
            "patientEmail": sandbox.patient_process_by_email_id,
            "professionalSms": sandbox.hcp_process_by_sms_id,
            "professionalEmail": sandbox.hcp_process_by_email_id,
        },
        "master": {
            "login": master.login,
            "password": master.password,
            "userId": master.user_id,
            "dataOwnerId": master.data_owner_id,
        },
        "environment": exports_of(sandbox),
    }


@contextlib.contextmanager
def ready_file(path: Path | None, sandbox: Sandbox) -> Generator[None]:
    """Keep a file with the description of a sandbox, all of it at once, until the end.

    Nobody but this user can read it: it holds credentials.

    Raises:
        ValueError: if it can't be written.
    """
    if path is None:
        yield
        return
    _write(path, json.dumps(description_of(sandbox)) + "\n")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _write(path: Path, content: str) -> None:
    try:
        # Made with the mode 0600.
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"Could not write the ready file {path}: {reason}") from None
