"""The golden data that the reference wrote. Not to be changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

GOLDEN: Final = Path(__file__).parents[1] / "golden"

WORLD: Final[dict[str, Any]] = json.loads((GOLDEN / "world.json").read_text("utf-8"))
"""The reference's small world at three moments, with all keys."""

WORLD2: Final[dict[str, Any]] = json.loads((GOLDEN / "world2.json").read_text("utf-8"))
"""The reference's second world: sharing, people, clinical records and invites, with all keys."""

FILTERS: Final[list[dict[str, Any]]] = json.loads((GOLDEN / "transcript2.json").read_text("utf-8"))[
    "filters"
]
"""The reference's filters: builder, filter, and the body that it sends."""
