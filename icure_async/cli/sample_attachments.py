"""``icure sample attach`` and ``save-attachment``: files of data samples, streamed both ways."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icure_async.cli.choices import AsJson, ProfileName  # noqa: TC001 - typer reads it
from icure_async.cli.clinical_options import SampleId  # noqa: TC001 - typer reads it
from icure_async.cli.connections import opening
from icure_async.cli.files import check_target
from icure_async.cli.output import note, print_json, say, transferring
from icure_async.cli.records import members_of
from icure_async.cli.sample_values import documents_in
from icure_async.errors import NotFoundError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from icure_async.cli.output import Advance
    from icure_async.medtech import MedTechApi
    from icure_async.models.document import Document
    from icure_async.models.transfer import TransferProgress

__all__ = ["attach", "save_attachment"]


def attach(
    sample_id: SampleId,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, readable=True, help="File to attach."
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the document, in clear; that of the file, if not.")
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(help="Language whose content the file becomes, in place of what is there."),
    ] = None,
    in_clear: Annotated[
        bool,
        typer.Option(
            "--in-clear",
            help="Do NOT encrypt the file, for readers that use iCure's SDK of 2023.",
        ),
    ] = False,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Attach a file to a sample, encrypted for those who can read the sample.

    Of a file of any size, only a piece is in memory at a time.
    """
    ready = opening(profile)

    async def run(advance: Advance) -> Document:
        async with ready.api() as api:
            return await api.data_sample_api.set_data_sample_attachment(
                sample_id,
                file,
                document_name=name or file.name,
                document_language=language,
                in_clear=in_clear,
                progress=_told(advance),
            )

    with transferring("Attaching") as advance:
        document = asyncio.run(run(advance))
    if as_json:
        print_json(members_of(document))
    else:
        say(document.id)


def save_attachment(
    sample_id: SampleId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.")],
    document_id: Annotated[
        str | None,
        typer.Option("--document", metavar="ID", help="Which document, where there are several."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
    profile: ProfileName = None,
) -> None:
    """Write what is attached to a sample to a file, decrypted.

    The file gets its name once all of it has arrived, and has the size and hash that it should.
    """
    check_target(file, overwrite=overwrite)
    ready = opening(profile)

    async def run(advance: Advance) -> None:
        async with ready.api() as api:
            await api.data_sample_api.save_data_sample_attachment_content(
                sample_id,
                document_id or await _only_document(api, sample_id),
                file,
                progress=_told(advance),
            )

    with transferring("Reading the attachment") as advance:
        asyncio.run(run(advance))
    note(f"The attachment is in {file}.")


def _told(advance: Advance) -> Callable[[TransferProgress], Awaitable[None]]:
    async def tell(progress: TransferProgress) -> None:
        advance(progress.done, progress.total)

    return tell


async def _only_document(api: MedTechApi, sample_id: str) -> str:
    found = documents_in(await api.data_sample_api.get_data_sample(sample_id))
    if not found:
        raise NotFoundError(f"Nothing is attached to sample {sample_id}.")
    if len(found) > 1:
        raise ValidationError(
            f"Sample {sample_id} has several documents: add --document with one of "
            f"{', '.join(found)}."
        )
    return found[0]
