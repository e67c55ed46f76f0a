"""The picture of the authentication process, drawn from its transition table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from diagram_shapes import Box, Canvas

from icure_async.authentication.process import (
    TRANSITIONS,
    AuthenticationEvent,
    AuthenticationState,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from diagram_shapes import Point

__all__ = ["process_diagram"]

_State = AuthenticationState
_Event = AuthenticationEvent


@attrs.frozen
class _Place:
    """The place of a state, and the words in its box."""

    box: Box
    words: str
    error: str = ""


@attrs.frozen
class _Arrow:
    """The way of an arrow, and the words next to it; of two for one event, one has the words."""

    points: tuple[Point, ...]
    words: tuple[str, ...] = ()
    at: Point = (0, 0)
    anchor: str = "middle"


_PLACES: Final[Mapping[AuthenticationState, _Place]] = {
    _State.NEW: _Place(Box(40, 80, 180, 62), "nothing was sent yet"),
    _State.CODE_SENT: _Place(Box(375, 80, 230, 62, "way"), "the person may enter the code"),
    _State.COMPLETED: _Place(Box(755, 80, 185, 62, "done"), "logged in, keys in use"),
    _State.REFUSED: _Place(
        Box(40, 300, 185, 84, "stop"), "nothing was sent", "CaptchaRefusedError"
    ),
    _State.UNKNOWN: _Place(
        Box(255, 300, 200, 84, "stop"), "the gateway knows it not", "UnknownProcessError"
    ),
    _State.EXPIRED: _Place(Box(535, 300, 180, 84, "stop"), "the code is dead", "CodeExpiredError"),
    _State.LOCKED: _Place(
        Box(745, 300, 195, 84, "stop"), "no code is taken any more", "TooManyAttemptsError"
    ),
    _State.SUPERSEDED: _Place(
        Box(40, 500, 900, 62), "over: complete the new process that resend() returned"
    ),
}

_RESENT: Final = {
    _State.CODE_SENT: ((490, 142), (490, 498)),
    _State.EXPIRED: ((625, 384), (625, 498)),
    _State.LOCKED: ((842, 384), (842, 498)),
    _State.UNKNOWN: ((355, 384), (355, 498)),
    _State.REFUSED: ((132, 384), (132, 498)),
}

_ARROWS: Final[Mapping[tuple[AuthenticationState, AuthenticationEvent], _Arrow]] = {
    (_State.NEW, _Event.CODE_SENT): _Arrow(
        ((220, 111), (373, 111)), ("a code", "is sent"), (297, 84)
    ),
    (_State.NEW, _Event.CAPTCHA_REFUSED): _Arrow(
        ((100, 142), (100, 298)), ("captcha", "refused"), (110, 220), "start"
    ),
    (_State.NEW, _Event.PROCESS_UNKNOWN): _Arrow(((180, 142), (305, 298))),
    (_State.CODE_SENT, _Event.CODE_REFUSED): _Arrow(
        (), ("a wrong code: InvalidCodeError, try again",), (490, 30)
    ),
    (_State.CODE_SENT, _Event.CODE_EXPIRED): _Arrow(
        ((535, 142), (595, 298)), ("too old,", "or used"), (623, 220)
    ),
    (_State.CODE_SENT, _Event.PROCESS_UNKNOWN): _Arrow(
        ((440, 142), (385, 298)), ("process", "not known"), (330, 220)
    ),
    (_State.CODE_SENT, _Event.TOO_MANY_ATTEMPTS): _Arrow(
        ((590, 142), (810, 298)), ("too many wrong codes",), (735, 210), "start"
    ),
    (_State.CODE_SENT, _Event.COMPLETED): _Arrow(
        ((605, 111), (753, 111)), ("the right code",), (680, 101)
    ),
    **{
        (state, _Event.RESENT): _Arrow(points, ("resend()",), (points[0][0] + 9, 447), "start")
        for state, points in _RESENT.items()
    },
}


def process_diagram() -> str:
    """Return the picture.

    Raises:
        ValueError: a state or a transition of the code has no place in it, or the other way round.
    """
    _check("state", _PLACES.keys() ^ set(AuthenticationState))
    _check("transition", _ARROWS.keys() ^ TRANSITIONS.keys())
    canvas = Canvas(
        980, 592, "The states of an authentication process", " ".join(map(_sentence, TRANSITIONS))
    )
    for state, place in _PLACES.items():
        _draw_state(canvas, state, place)
    for (state, _), arrow in _ARROWS.items():
        _draw_arrow(canvas, state, arrow)
    return canvas.svg()


def _check(what: str, odd: Collection[object]) -> None:
    if odd:
        message = f"The picture and the code disagree about a {what}: {sorted(map(str, odd))}"
        raise ValueError(message)


def _sentence(transition: tuple[AuthenticationState, AuthenticationEvent]) -> str:
    state, event = transition
    return f"{state.value}: {event.value} leads to {TRANSITIONS[transition].value}."


def _draw_state(canvas: Canvas, state: AuthenticationState, place: _Place) -> None:
    box = place.box
    canvas.box(box)
    canvas.text((box.middle, box.y + 26), state.value, "name")
    canvas.text((box.middle, box.y + 47), place.words, "small")
    if place.error:
        canvas.text((box.middle, box.y + 69), place.error, "code")


def _draw_arrow(canvas: Canvas, state: AuthenticationState, arrow: _Arrow) -> None:
    if arrow.points:
        canvas.arrow(*arrow.points)
    else:
        canvas.loop(_PLACES[state].box)
    canvas.lines(arrow.at, arrow.words, anchor=arrow.anchor)
