"""Draw the pictures of docs/diagrams: ``python tools/draw_diagrams.py``, or with ``--check``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from diagram_panels import chain_diagram, storage_diagram, who_diagram
from diagram_process import process_diagram

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["DIAGRAMS", "differences", "main"]

FOLDER: Final = Path(__file__).parents[1] / "docs" / "diagrams"

DIAGRAMS: Final[Mapping[str, Callable[[], str]]] = {
    "authentication-process.svg": process_diagram,
    "what-is-stored-where.svg": storage_diagram,
    "who-can-open-what.svg": who_diagram,
    "chain-of-keys.svg": chain_diagram,
}


def differences(folder: Path) -> list[str]:
    """Return the names of the pictures that are missing, out of date, or drawn by nobody."""
    stored = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.svg")}
    drawn = {name: draw() for name, draw in DIAGRAMS.items()}
    return sorted(name for name in stored.keys() | drawn if stored.get(name) != drawn.get(name))


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, or compare; return the exit code."""
    parser = argparse.ArgumentParser(description="Draw the pictures of docs/diagrams.")
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if any differs")
    if parser.parse_args(arguments).check:
        different = differences(FOLDER)
        for name in different:
            print(f"docs/diagrams/{name} differs: run python tools/draw_diagrams.py")
        return 1 if different else 0
    for name, draw in DIAGRAMS.items():
        (FOLDER / name).write_text(draw(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
