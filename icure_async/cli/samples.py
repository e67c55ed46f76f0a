"""``icure sample``: what was measured or observed of patients, decrypted on this device."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from icure_async.cli.arguments import DATE_FORM, date_of, shown_code
from icure_async.cli.choices import AsJson, ProfileName  # noqa: TC001 - typer reads it
from icure_async.cli.clinical_options import (  # noqa: TC001 - typer reads them
    Codes,
    Labels,
    PatientId,
    SampleId,
)
from icure_async.cli.connections import opening
from icure_async.cli.options import Yes  # noqa: TC001 - typer reads it
from icure_async.cli.output import note, print_json, print_rows, working
from icure_async.cli.questions import confirm, read_text
from icure_async.cli.records import members_of, new_record_in, show
from icure_async.cli.sample_attachments import attach, save_attachment
from icure_async.cli.sample_values import content_of, in_words
from icure_async.models.base import has_id
from icure_async.models.data_sample import DataSample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.models.data_sample import PotentiallyEncryptedDataSample

__all__ = ["sample"]

sample: typer.Typer = typer.Typer(
    no_args_is_help=True,
    help="Data samples of patients, such as measurements: list, read, add, attach to, delete them.",
)
sample.command()(attach)
sample.command("save-attachment")(save_attachment)

_TITLES: Final = ("id", "date", "labels", "value", "readable")


@sample.command("list")
def list_samples(
    patient_id: PatientId, profile: ProfileName = None, as_json: AsJson = False
) -> None:
    """List the samples of a patient that are shared with you, decrypted."""
    ready = opening(profile)

    async def run() -> Sequence[PotentiallyEncryptedDataSample]:
        async with ready.api() as api:
            return await api.data_sample_api.get_data_samples_for_patient(patient_id)

    with working("Reading samples"):
        found = [each for each in asyncio.run(run()) if not each.is_deleted]
    if as_json:
        print_json([_row(each) for each in found])
        return
    print_rows(
        _TITLES,
        [
            (
                each.id,
                each.value_date or each.opening_date,
                ", ".join(map(shown_code, each.labels)),
                in_words(each),
                isinstance(each, DataSample),
            )
            for each in found
        ],
    )


@sample.command("show")
def show_sample(sample_id: SampleId, profile: ProfileName = None, as_json: AsJson = False) -> None:
    """Show a sample, decrypted."""
    ready = opening(profile)

    async def run() -> DataSample:
        async with ready.api() as api:
            return await api.data_sample_api.get_data_sample(sample_id)

    with working("Reading the sample"):
        found = asyncio.run(run())
    show(found, as_json=as_json)


@sample.command()
def add(
    patient_id: PatientId,
    text: Annotated[
        str | None,
        typer.Option(
            help="The sample as a text; encrypted. Other users of the machine see arguments: "
            "--text-file and --file keep it from them."
        ),
    ] = None,
    text_file: Annotated[
        Path | None, typer.Option(help="File with the text, encrypted; - for standard input.")
    ] = None,
    number: Annotated[float | None, typer.Option(help="The number measured; encrypted.")] = None,
    unit: Annotated[str | None, typer.Option(help="Its unit; encrypted.")] = None,
    empty: Annotated[
        bool,
        typer.Option("--empty", help="Say nothing yet: 'icure sample attach' adds a file."),
    ] = False,
    language: Annotated[str, typer.Option(help="Language of the content.")] = "en",
    labels: Labels = None,
    codes: Codes = None,
    date: Annotated[
        dt.date | None,
        typer.Option(parser=date_of, metavar=DATE_FORM, help="When it was measured; now, if not."),
    ] = None,
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--condition", metavar="ID", help="Condition that it is about; may be repeated."
        ),
    ] = None,
    comment: Annotated[str | None, typer.Option(help="A comment, which is NOT encrypted.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", help="JSON file with the whole sample, as --json prints it; - for input."
        ),
    ] = None,
    sample_id: Annotated[
        str | None, typer.Option("--id", help="Id of the new sample; made by default.")
    ] = None,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Add a sample, encrypted for you and for all with whom you share automatically.

    Its id is said before anything is sent: with it, the command can be repeated after a failure
    without adding a second sample.
    """
    if text is not None and text_file is not None:
        raise typer.BadParameter("--text and --text-file are two ways to say the same: name one.")
    new = DataSample() if file is None else new_record_in(file, DataSample, "sample")
    new.id = sample_id or (new.id if has_id(new) else str(uuid.uuid4()))
    if text_file is not None:
        text = read_text(text_file).rstrip("\r\n")
    content = content_of(text, number, unit)
    if content is not None:
        new.content[language] = content
    elif not new.content and not empty:
        raise typer.BadParameter(
            "say what was measured: --number, --text, --text-file, --file, or --empty for a sample "
            "that a file will be attached to."
        )
    again = f"--id {new.id}"
    if date is None and not new.value_date and not new.opening_date:
        date = _now()
        again += f" --date {date.isoformat()}"
    _set(
        new,
        labels=labels,
        codes=codes,
        value_date=date,
        healthcare_element_ids=conditions,
        comment=comment,
    )
    ready = opening(profile)
    note(f"The id of the sample: {new.id}. After a failure, repeat the command with {again}.")

    async def run() -> DataSample:
        async with ready.api() as api:
            return await api.data_sample_api.create_or_modify_data_sample_for(patient_id, new)

    with working("Adding the sample"):
        stored = asyncio.run(run())
    show(stored, as_json=as_json)


@sample.command()
def delete(sample_id: SampleId, yes: Yes = False, profile: ProfileName = None) -> None:
    """Delete a sample: its content is gone, for everybody with whom it was shared."""
    ready = opening(profile)
    if not yes:
        confirm(f"Delete sample {sample_id}? It cannot be taken back.", option="--yes")

    async def run() -> None:
        async with ready.api() as api:
            await api.data_sample_api.delete_data_sample(sample_id)

    with working("Deleting the sample"):
        asyncio.run(run())
    note(f"Sample {sample_id} is deleted.")


def _set(new: DataSample, **given: Any) -> None:
    for name, value in given.items():
        if value:
            setattr(new, name, value)


def _now() -> dt.datetime:
    """Return what clocks show here."""
    return dt.datetime.now(dt.UTC).astimezone().replace(tzinfo=None, microsecond=0)


def _row(each: PotentiallyEncryptedDataSample) -> dict[str, Any]:
    members = members_of(each)
    return {
        "id": each.id,
        "date": each.value_date or each.opening_date,
        "labels": [shown_code(label) for label in each.labels],
        "codes": [shown_code(code) for code in each.codes],
        "value": in_words(each),
        "content": members.get("content", {}),
        "conditions": each.healthcare_element_ids,
        "batch_id": each.batch_id,
        "modified": each.modified,
        "readable": isinstance(each, DataSample),
    }
