"""Which members of an entity are encrypted; everything else is in clear on the backend."""

from typing import Final

__all__ = ["ENCRYPTED_NOTIFICATION_MEMBERS", "ENCRYPTED_PATIENT_MEMBERS"]

ENCRYPTED_NOTIFICATION_MEMBERS: Final = ("properties",)
"""Wire names of the encrypted members of a maintenance task (cryptography.md §10)."""

ENCRYPTED_PATIENT_MEMBERS: Final = ("note",)
"""Wire names of a patient's encrypted members (cryptography.md §6.2)."""
