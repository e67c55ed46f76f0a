"""``icure condition``: the conditions of patients, decrypted on this device."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from icure_async.cli.arguments import shown_code
from icure_async.cli.choices import AsJson, ProfileName  # noqa: TC001 - typer reads it
from icure_async.cli.clinical_options import (  # noqa: TC001 - typer reads them
    Closed,
    Codes,
    Labels,
    NoteFile,
    Opened,
    PatientId,
)
from icure_async.cli.connections import opening
from icure_async.cli.options import Yes  # noqa: TC001 - typer reads it
from icure_async.cli.output import note, print_json, print_rows, working
from icure_async.cli.questions import confirm, read_text
from icure_async.cli.records import new_record_in, show
from icure_async.models.base import has_id
from icure_async.models.healthcare_element import HealthcareElement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.models.healthcare_element import PotentiallyEncryptedHealthcareElement

__all__ = ["condition"]

condition: typer.Typer = typer.Typer(
    no_args_is_help=True, help="Conditions of patients: list, read, add and delete them."
)

_PLAIN: Final = ("id", "description", "opened", "closed")
_TITLES: Final = (*_PLAIN, "codes", "readable")
_Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the condition.")]


@condition.command("list")
def list_conditions(
    patient_id: PatientId, profile: ProfileName = None, as_json: AsJson = False
) -> None:
    """List the conditions of a patient that are shared with you, decrypted."""
    ready = opening(profile)

    async def run() -> Sequence[PotentiallyEncryptedHealthcareElement]:
        async with ready.api() as api:
            return await api.healthcare_element_api.get_healthcare_elements_for_patient(patient_id)

    with working("Reading conditions"):
        rows = [_row(element) for element in asyncio.run(run())]
    if as_json:
        print_json(rows)
        return
    print_rows(
        _TITLES,
        [
            [*(row[title] for title in _PLAIN), ", ".join(row["codes"]), row["readable"]]
            for row in rows
        ],
    )


@condition.command("show")
def show_condition(condition_id: _Id, profile: ProfileName = None, as_json: AsJson = False) -> None:
    """Show a condition, decrypted."""
    ready = opening(profile)

    async def run() -> HealthcareElement:
        async with ready.api() as api:
            return await api.healthcare_element_api.get_healthcare_element(condition_id)

    with working("Reading the condition"):
        found = asyncio.run(run())
    show(found, as_json=as_json)


@condition.command()
def add(
    patient_id: PatientId,
    description: Annotated[
        str | None,
        typer.Option(
            help="The condition in words; encrypted. Other users of the machine see arguments: "
            "--description-file keeps it from them."
        ),
    ] = None,
    description_file: Annotated[
        Path | None,
        typer.Option(help="File with the description, encrypted; - for standard input."),
    ] = None,
    note_file: NoteFile = None,
    labels: Labels = None,
    codes: Codes = None,
    opened: Opened = None,
    closed: Closed = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", help="JSON file with the whole condition, as --json prints it; - for input."
        ),
    ] = None,
    condition_id: Annotated[
        str | None, typer.Option("--id", help="Id of the new condition; made by default.")
    ] = None,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Add a condition, encrypted for you and for all with whom you share automatically.

    Its id is said before anything is sent: with it, the command can be repeated after a failure
    without adding a second condition.
    """
    if description is not None and description_file is not None:
        raise typer.BadParameter("--description and --description-file say the same: name one.")
    new = (
        HealthcareElement() if file is None else new_record_in(file, HealthcareElement, "condition")
    )
    new.id = condition_id or (new.id if has_id(new) else str(uuid.uuid4()))
    given: dict[str, Any] = {
        "description": description or (description_file and read_text(description_file).strip()),
        "note": note_file and read_text(note_file).rstrip("\r\n"),
        "labels": labels,
        "codes": codes,
        "opening_date": opened,
        "closing_date": closed,
    }
    for name, value in given.items():
        if value:
            setattr(new, name, value)
    ready = opening(profile)
    note(
        f"The id of the condition: {new.id}. After a failure, repeat the command with --id "
        f"{new.id}."
    )

    async def run() -> HealthcareElement:
        async with ready.api() as api:
            return await api.healthcare_element_api.create_or_modify_healthcare_element(
                new, patient_id
            )

    with working("Adding the condition"):
        stored = asyncio.run(run())
    show(stored, as_json=as_json)


@condition.command()
def delete(condition_id: _Id, yes: Yes = False, profile: ProfileName = None) -> None:
    """Mark a condition as deleted: it can still be read by its id, and is listed nowhere."""
    ready = opening(profile)
    if not yes:
        confirm(f"Delete condition {condition_id}?", option="--yes")

    async def run() -> None:
        async with ready.api(with_keys=False, shows_access=True) as api:
            await api.healthcare_element_api.delete_healthcare_element(condition_id)

    with working("Deleting the condition"):
        asyncio.run(run())
    note(f"Condition {condition_id} is deleted.")


def _row(element: PotentiallyEncryptedHealthcareElement) -> dict[str, Any]:
    return {
        "id": element.id,
        "description": element.description,
        "opened": element.opening_date,
        "closed": element.closing_date,
        "labels": [shown_code(label) for label in element.labels],
        "codes": [shown_code(code) for code in element.codes],
        "modified": element.modified,
        "readable": isinstance(element, HealthcareElement),
    }
