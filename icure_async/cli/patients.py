"""``icure patient``: the patients that the user reads, decrypted on this device.

Notes are read from files, or from standard input, and never arguments, which other users of the
machine can see.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from pathlib import Path
from typing import Annotated

import typer

from icure_async.cli.choices import AsJson, ProfileName  # noqa: TC001 - typer reads it
from icure_async.cli.connections import opening
from icure_async.cli.options import Yes  # noqa: TC001 - typer reads it
from icure_async.cli.output import note, working
from icure_async.cli.patient_search import list_patients
from icure_async.cli.patient_shares import share
from icure_async.cli.questions import confirm, read_text
from icure_async.cli.records import new_record_in, show
from icure_async.models.base import has_id
from icure_async.models.patient import Patient

__all__ = ["patient"]

patient: typer.Typer = typer.Typer(
    no_args_is_help=True, help="Patients: list, read, create, share and delete them."
)

patient.command("list")(list_patients)
patient.command()(share)

_Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the patient.")]


@patient.command()
def get(patient_id: _Id, profile: ProfileName = None, as_json: AsJson = False) -> None:
    """Show a patient, decrypted."""
    ready = opening(profile)

    async def run() -> Patient:
        async with ready.api() as api:
            return await api.patient_api.get_patient(patient_id)

    with working("Reading the patient"):
        found = asyncio.run(run())
    show(found, as_json=as_json)


@patient.command()
def create(
    first_name: Annotated[str | None, typer.Option(help="First name.")] = None,
    last_name: Annotated[str | None, typer.Option(help="Last name.")] = None,
    born: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Date of birth.")
    ] = None,
    gender: Annotated[
        str | None, typer.Option(help="Gender: male, female, unknown, …, as iCure names them.")
    ] = None,
    note_file: Annotated[
        Path | None,
        typer.Option(help="File with the note, which is encrypted; - for standard input."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", help="JSON file with the whole patient, as --json prints it; - for input."
        ),
    ] = None,
    patient_id: Annotated[
        str | None, typer.Option("--id", help="Id of the new patient; made by default.")
    ] = None,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Create a patient, encrypted for you and for all with whom you share automatically.

    Its id is said before anything is sent: with it, the command can be repeated after a failure
    without creating a second patient.
    """
    new = Patient() if file is None else new_record_in(file, Patient, "patient")
    new.id = patient_id or (new.id if has_id(new) else str(uuid.uuid4()))
    given = {
        "first_name": first_name,
        "last_name": last_name,
        "date_of_birth": None if born is None else int(f"{born:%Y%m%d}"),
        "gender": gender,
        "note": None if note_file is None else read_text(note_file).rstrip("\r\n"),
    }
    for name, value in given.items():
        if value is not None:
            setattr(new, name, value)
    ready = opening(profile)
    note(
        f"The id of the patient: {new.id}. After a failure, repeat the command with --id {new.id}."
    )

    async def run() -> Patient:
        async with ready.api() as api:
            return await api.patient_api.create_or_modify_patient(new)

    with working("Creating the patient"):
        stored = asyncio.run(run())
    show(stored, as_json=as_json)


@patient.command()
def delete(patient_id: _Id, yes: Yes = False, profile: ProfileName = None) -> None:
    """Mark a patient as deleted: it can still be read by its id, and is listed nowhere."""
    ready = opening(profile)
    if not yes:
        confirm(f"Delete patient {patient_id}?", option="--yes")

    async def run() -> None:
        async with ready.api(with_keys=False, shows_access=True) as api:
            await api.patient_api.delete_patient(patient_id)

    with working("Deleting the patient"):
        asyncio.run(run())
    note(f"Patient {patient_id} is deleted.")
