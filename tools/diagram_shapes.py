"""Boxes, arrows and texts of diagrams, as SVG that is readable in light and dark."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Box", "Canvas", "Point"]

Point = tuple[int, int]

_LINE_HEIGHT: Final = 19
_STYLE: Final = """
  text { font: 14px "Segoe UI", "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; fill: #1f2933 }
  .title { font-size: 17px; font-weight: 600 }
  .name { font-size: 15px; font-weight: 600 }
  .code { font-family: "SFMono-Regular", Consolas, "DejaVu Sans Mono", monospace; font-size: 13px }
  .small { font-size: 13px; fill: #52606d }
  .page { fill: #ffffff; stroke: #d5dbe1 }
  .box { stroke-width: 1.5 }
  .plain { fill: #f3f5f7; stroke: #7b8794 }
  .way { fill: #e1f0fb; stroke: #1b6ca8 }
  .done { fill: #e3f5e6; stroke: #2b7a3d }
  .stop { fill: #fdeeda; stroke: #b25e09 }
  .line { fill: none; stroke: #52606d; stroke-width: 1.5 }
  .rule { stroke: #d5dbe1 }
  .head { fill: #52606d }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8ecf0 }
    .small { fill: #b3bdc8 }
    .page { fill: #15191e; stroke: #3b444e }
    .plain { fill: #222931; stroke: #7b8794 }
    .way { fill: #11314a; stroke: #62b0ea }
    .done { fill: #12351b; stroke: #67bd7b }
    .stop { fill: #40270a; stroke: #e6a04a }
    .line { stroke: #b3bdc8 }
    .rule { stroke: #3b444e }
    .head { fill: #b3bdc8 }
  }
"""


@attrs.frozen
class Box:
    """A rectangle: its left upper corner, its size, and its look, a class of the style."""

    x: int
    y: int
    width: int
    height: int
    look: str = "plain"

    @property
    def middle(self) -> int:
        """Half way between left and right."""
        return self.x + self.width // 2


class Canvas:
    """A diagram under way.

    Args:
        width: of the picture.
        height: of the picture.
        title: read out to those who don't see it.
        description: the content of the picture in words, for them too.
    """

    def __init__(self, width: int, height: int, title: str, description: str) -> None:
        self._size = width, height
        self._words = title, description
        self._elements: list[str] = []

    def box(self, box: Box) -> None:
        """Draw a box."""
        self._elements.append(
            f'<rect class="box {box.look}" x="{box.x}" y="{box.y}" width="{box.width}" '
            f'height="{box.height}" rx="8"/>'
        )

    def text(self, place: Point, words: str, look: str = "", anchor: str = "middle") -> None:
        """Write a line of text; its place is on the base line, at the anchor."""
        x, y = place
        self._elements.append(
            f'<text class="{look}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def lines(
        self, place: Point, lines: Sequence[str], look: str = "", anchor: str = "middle"
    ) -> int:
        """Write lines below each other; return where the next one would be."""
        x, y = place
        for line in lines:
            self.text((x, y), line, look, anchor)
            y += _LINE_HEIGHT
        return y

    def arrow(self, *points: Point) -> None:
        """Draw an arrow through points."""
        way = " L ".join(f"{x} {y}" for x, y in points)
        self._line(f"M {way}")

    def loop(self, box: Box) -> None:
        """Draw an arrow from the top of a box back to it."""
        left, right, up = box.middle - 45, box.middle + 45, box.y - 55
        self._line(f"M {left} {box.y} C {left} {up}, {right} {up}, {right} {box.y - 1}")

    def rule(self, x: int, y: int, width: int) -> None:
        """Draw a thin line across."""
        self._elements.append(f'<path class="rule" d="M {x} {y} H {x + width}"/>')

    def svg(self) -> str:
        """Return the picture."""
        width, height = self._size
        title, description = map(escape, self._words)
        elements = "\n".join(self._elements)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" aria-labelledby="title description">\n'
            f'<title id="title">{title}</title>\n'
            f'<desc id="description">{description}</desc>\n'
            f"<style>{_STYLE}</style>\n"
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
            'markerHeight="8" orient="auto-start-reverse"><path class="head" '
            'd="M 0 1 L 10 5 L 0 9 z"/></marker></defs>\n'
            f'<rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" '
            'rx="10"/>\n'
            f"{elements}\n</svg>\n"
        )

    def _line(self, way: str) -> None:
        self._elements.append(f'<path class="line" marker-end="url(#head)" d="{way}"/>')
