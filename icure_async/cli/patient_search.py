"""``icure patient list``: the patients that the user reads, found by a filter."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icure_async.cli.choices import AsJson, ProfileName  # noqa: TC001 - typer reads it
from icure_async.cli.connections import opening
from icure_async.cli.output import print_json, print_rows, say, steps, working
from icure_async.models.filters import PatientFilter
from icure_async.models.patient import Patient

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.cli.connections import Opening
    from icure_async.models.patient import PotentiallyEncryptedPatient

__all__ = ["list_patients"]

_COLUMNS = ("id", "last_name", "first_name", "date_of_birth", "gender", "readable")


def list_patients(
    name: Annotated[
        str | None, typer.Option(help="Part of a name; case and accents are ignored.")
    ] = None,
    born: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Date of birth.")
    ] = None,
    age: Annotated[int | None, typer.Option(help="Age in years.")] = None,
    shared_with: Annotated[
        str | None,
        typer.Option(metavar="ID", help="With whom they are shared, an organisation for example."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="How many to show at most; all by default.")
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Show how many there are.")] = False,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """List the patients that are shared with you, decrypted; options narrow them down together."""
    wanted = _filter(name, born, age, shared_with)
    ready = opening(profile)
    if count:
        with working("Counting patients"):
            number = asyncio.run(_count(ready, wanted))
        if as_json:
            print_json({"count": number})
        else:
            say(str(number))
        return
    with steps("Reading patients") as advance:
        found = asyncio.run(_found(ready, wanted, limit, advance))
    rows = [_row(patient) for patient in found]
    if as_json:
        print_json(rows)
        return
    titles = [title.replace("_", " ") for title in _COLUMNS]
    print_rows(titles, [[row[column] for column in _COLUMNS] for row in rows])


def _filter(
    name: str | None, born: dt.datetime | None, age: int | None, shared_with: str | None
) -> PatientFilter:
    wanted = PatientFilter()
    if shared_with is not None:
        wanted = wanted.for_data_owner(shared_with)
    if name is not None:
        wanted = wanted.contains_fuzzy(name)
    if born is not None:
        wanted = wanted.date_of_birth_between(born.date(), born.date())
    if age is not None:
        wanted = wanted.of_age(age)
    return wanted


async def _count(ready: Opening, wanted: PatientFilter) -> int:
    async with ready.api() as api:
        return await api.patient_api.count_patients(wanted)


async def _found(
    ready: Opening, wanted: PatientFilter, limit: int | None, advance: Callable[[int], None]
) -> list[PotentiallyEncryptedPatient]:
    found: list[PotentiallyEncryptedPatient] = []
    async with (
        ready.api() as api,
        aclosing(api.patient_api.filter_patients(wanted)) as patients,
    ):
        async for patient in patients:
            found.append(patient)
            advance(len(found))
            if len(found) == limit:
                break
    return found


def _row(patient: PotentiallyEncryptedPatient) -> dict[str, Any]:
    return {
        "id": patient.id,
        "last_name": patient.last_name,
        "first_name": patient.first_name,
        "date_of_birth": patient.date_of_birth,
        "gender": patient.gender,
        "modified": patient.modified,
        "readable": isinstance(patient, Patient),
    }
