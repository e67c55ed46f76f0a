"""``icure patient share``: a patient made readable for other data owners, for good."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from icure_async.cli.choices import AsJson, ProfileName  # noqa: TC001 - typer reads it
from icure_async.cli.connections import opening
from icure_async.cli.options import Yes  # noqa: TC001 - typer reads it
from icure_async.cli.output import note, print_json, print_rows, working
from icure_async.cli.questions import confirm
from icure_async.errors import ICureError
from icure_async.foreign_text import printable
from icure_async.models.shares import DataAccess

if TYPE_CHECKING:
    from icure_async.cli.connections import Opening
    from icure_async.models.shares import AccessToAllData, DataOwner

__all__ = ["access_rows", "share"]

_KINDS: Final = ("patient", "healthcare_elements", "data_samples", "forms", "invoices")


def share(
    patient_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the patient.")],
    delegates: Annotated[
        list[str],
        typer.Argument(metavar="DELEGATE...", help="Ids of the data owners to share with."),
    ],
    all_data: Annotated[
        bool,
        typer.Option("--all-data", help="Share the medical data of the patient, too."),
    ] = False,
    yes: Yes = False,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Share a patient with other data owners, who read, change and share it from then on.

    There is no way to take a share back. Repeating the command finishes the job. The exit code is 1
    if something was not shared with one of them.
    """
    ready = opening(profile)
    if not yes:
        with working("Reading the delegates"):
            people = asyncio.run(_people(ready, delegates))
        for person in people:
            note(f"  {person.id}  {person.type}  {_name(person)}")
        confirm(f"Share patient {patient_id} with these? It cannot be taken back.", option="--yes")
    work = (
        _share_all(ready, patient_id, delegates)
        if all_data
        else _share(ready, patient_id, delegates)
    )
    with working("Sharing"):
        rows = asyncio.run(work)
    if as_json:
        print_json(rows)
    else:
        print_rows(("delegate", "data", "outcome", "why not"), [list(row.values()) for row in rows])
    if any(row["error"] for row in rows):
        raise typer.Exit(1)


async def _people(ready: Opening, delegates: list[str]) -> list[DataOwner]:
    async with ready.api(with_keys=False) as api:
        return [await api.data_owner_api.get_data_owner(delegate) for delegate in delegates]


async def _share(ready: Opening, patient_id: str, delegates: list[str]) -> list[dict[str, Any]]:
    async with ready.api() as api:
        patient = await api.patient_api.get_patient(patient_id)
        result = await api.patient_api.share_many([patient], delegates)
    return [
        _row(item.delegate_id, "patient", item.status.replace("_", " "), item.error)
        for item in result
    ]


async def _share_all(ready: Opening, patient_id: str, delegates: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    async with ready.api() as api:
        for delegate_id in delegates:
            try:
                access = await api.patient_api.give_access_to_all_data_of(patient_id, delegate_id)
            except ICureError as error:
                rows.append(_row(delegate_id, "patient", "not shared", error))
                continue
            rows += access_rows(access)
    return rows


def access_rows(access: AccessToAllData) -> list[dict[str, Any]]:
    """Return a row for each kind of data that there is, or that could not be looked for."""
    return [
        _row(access.delegate_id, kind.replace("_", " "), _outcome(found), found.error)
        for kind in _KINDS
        if (found := getattr(access, kind)) != DataAccess()
    ]


def _row(delegate_id: str, data: str, outcome: str, error: ICureError | None) -> dict[str, Any]:
    return {
        "delegate": delegate_id,
        "data": data,
        "outcome": outcome,
        "error": None if error is None else str(error),
    }


def _outcome(access: DataAccess) -> str:
    counts = {
        "shared": access.shared,
        "shared before": access.shared_before,
        "not shared": len(access.not_shared),
    }
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    return told or "not shared"


def _name(person: DataOwner) -> str:
    name = person.name or " ".join(filter(None, (person.first_name, person.last_name)))
    return printable(name) if name else "(no name in clear)"
