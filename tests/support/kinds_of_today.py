"""The kinds of entities as today's flavour writes them."""

from __future__ import annotations

from typing import Final

from icure_async.entities.kinds import NOTIFICATION, PATIENT, of_today

NOTIFICATION_OF_TODAY: Final = of_today(NOTIFICATION)
PATIENT_OF_TODAY: Final = of_today(PATIENT)
