"""Names of the environment variables that the builders and the ``icure`` command read."""

from __future__ import annotations

import os
from typing import Final

__all__ = [
    "CAPTCHA",
    "CODE",
    "DATABASE_URL",
    "FLAVOUR",
    "GATEWAY_URL",
    "GROUP_ID",
    "KEYS",
    "LOGIN",
    "PASSPHRASE",
    "PASSWORD",
    "PROFILE",
    "PROJECT_ID",
    "SPEC_ID",
    "STORAGE_PASSPHRASE",
    "URL",
    "process_variable",
    "value_of",
]

# Read by the builders' from_env(), and by the command.
URL: Final = "ICURE_URL"
GATEWAY_URL: Final = "ICURE_MSG_GTW_URL"
SPEC_ID: Final = "SPEC_ID"
FLAVOUR: Final = "ICURE_FLAVOUR"
PROJECT_ID: Final = "ICURE_PROJECT_ID"
GROUP_ID: Final = "ICURE_GROUP_ID"

# Read by the command alone.
PROFILE: Final = "ICURE_PROFILE"
LOGIN: Final = "ICURE_LOGIN"
PASSWORD: Final = "ICURE_PASSWORD"  # noqa: S105 - the name, not the password
KEYS: Final = "ICURE_KEYS"
PASSPHRASE: Final = "ICURE_PASSPHRASE"  # noqa: S105
STORAGE_PASSPHRASE: Final = "ICURE_STORAGE_PASSPHRASE"  # noqa: S105
CODE: Final = "ICURE_CODE"
DATABASE_URL: Final = "ICURE_DATABASE_URL"
CAPTCHA: Final = "ICURE_CAPTCHA"


def process_variable(channel: str, user_type: str) -> str:
    """Return the name of the variable with the id of a process: ``AUTH_BY_SMS_HCP_PROCESS_ID``."""
    return f"AUTH_BY_{channel.upper()}_{user_type.upper()}_PROCESS_ID"


def value_of(name: str) -> str:
    """Return the value of a variable without the line break that files of secrets end with."""
    return os.environ.get(name, "").strip()
