"""Arguments and options of the commands about conditions and samples."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from icure_async.cli.arguments import CODE_FORM, DATE_FORM, code_of, date_of
from icure_async.models.codes import CodingReference

__all__ = ["Closed", "Codes", "Labels", "NoteFile", "Opened", "PatientId", "SampleId"]

PatientId = Annotated[str, typer.Argument(metavar="PATIENT", help="Id of the patient.")]
SampleId = Annotated[str, typer.Argument(metavar="ID", help="Id of the sample.")]
Labels = Annotated[
    list[CodingReference] | None,
    typer.Option(
        "--label",
        parser=code_of,
        metavar=CODE_FORM,
        help="Label, in clear, which searches look for; may be repeated.",
    ),
]
Codes = Annotated[
    list[CodingReference] | None,
    typer.Option(
        "--code",
        parser=code_of,
        metavar=CODE_FORM,
        help="Code of a terminology, in clear, which searches look for; may be repeated.",
    ),
]
Opened = Annotated[
    dt.date | None,
    typer.Option("--opened", parser=date_of, metavar=DATE_FORM, help="When it began."),
]
Closed = Annotated[
    dt.date | None,
    typer.Option("--closed", parser=date_of, metavar=DATE_FORM, help="When it ended."),
]
NoteFile = Annotated[
    Path | None,
    typer.Option(
        "--note-file", help="File with the note, which is encrypted; - for standard input."
    ),
]
