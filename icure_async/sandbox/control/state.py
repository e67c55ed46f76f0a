"""The description of a running sandbox: addresses, processes, groups, versions."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import attrs

from icure_async.sandbox.control.records import counts
from icure_async.sandbox.gateway import PROCESSES, SPEC_ID
from icure_async.sandbox.master import load_master

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["State"]


@attrs.frozen
class State:
    """The parts of the description that stay the same while a sandbox runs.

    Attributes:
        roots: the paths of its APIs, by the names of their URLs.
        keeps: the path of its database, None where it is in memory.
    """

    roots: Mapping[str, str]
    keeps: str | None

    def describe(self, tx: Transaction, call: Call) -> Json:
        """Return the description, with the addresses by which the caller has called."""
        base = f"http://{call.headers.get('Host', '')}"
        settings = call.settings
        return {
            **{name: base + path for name, path in self.roots.items()},
            "specId": SPEC_ID,
            "processIds": {
                f"{'patient' if process.creates == 'patient' else 'professional'}"
                f"{'Sms' if process_id.endswith('sms') else 'Email'}": process_id
                for process_id, process in PROCESSES.items()
            },
            "master": _master(tx),
            "groups": [
                {"id": group.group_id, "name": group.group_name(), "records": counts(group)}
                for group in tx.groups()
            ],
            "settings": {
                "profile": settings.profile,
                "lenient": settings.lenient,
                "codeValidity": settings.code_validity,
                "accessTokenValidity": settings.access_token_validity,
                "refreshTokenValidity": settings.refresh_token_validity,
                "maxCodeAttempts": settings.max_code_attempts,
                "issuesTokens": call.signer is not None,
                "database": self.keeps,
            },
            "versions": {
                "icureAsync": _own_version(),
                "python": platform.python_version(),
                "sqlite": sqlite3.sqlite_version,
            },
        }


def _master(tx: Transaction) -> Json | None:
    master = load_master(tx)
    if master is None:
        return None
    return {
        "login": master.login,
        "userId": master.user_id,
        "dataOwnerId": master.data_owner_id,
        "publicKey": master.key_pair.public_key,
    }


def _own_version() -> str | None:
    try:
        return version("icure-async")
    except PackageNotFoundError:
        return None
