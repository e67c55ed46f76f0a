"""The second world on a sandbox, with samples to attach files to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import attrs
import pytest

from icure_async import Content, DataSample, MedTechApi
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD2
from tests.support.golden_sandbox import Opener
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, stage

PATIENT: Final = "11511416-6010-4537-945a-574e43209de8"
"""A patient of hcpA, who has shared it with hcpB."""
STAGE: Final = "12-data-samples"


@attrs.define
class Ward:
    """A stage of the second world on a sandbox."""

    sandbox: Sandbox
    session: aiohttp.ClientSession
    log: RequestLog
    _open: dict[str, MedTechApi] = attrs.field(factory=dict[str, MedTechApi])

    async def user(self, name: str, url: str | None = None) -> MedTechApi:
        """The API of a golden user with its key pair, opened once."""
        key = f"{name} {url or ''}"
        if key not in self._open:
            opener = Opener(url or self.sandbox.icure_url, WORLD2, self.session)
            self._open[key] = await opener.golden(name)
        return self._open[key]

    async def sample(self, *texts: str, by: str = "hcpA", patient_id: str = PATIENT) -> DataSample:
        """A new data sample with a content in each language that is named."""
        api = await self.user(by)
        content = {language: Content(string_value=language) for language in texts}
        return await api.data_sample_api.create_or_modify_data_sample_for(
            patient_id, DataSample(content=content)
        )

    async def stored(self, kind: str, entity_id: str | None) -> Json:
        found = await self.sandbox.stored(kind, str(entity_id))
        assert found is not None
        return found

    async def as_master(
        self, method: str, path: str, body: Json | None = None, data: bytes | None = None
    ) -> Any:
        """Make a request behind everybody's back."""
        master = self.sandbox.master_hcp
        authorization = aiohttp.encode_basic_auth(master.login, master.password)
        async with self.session.request(
            method,
            self.sandbox.icure_url + path,
            json=body,
            data=data,
            headers={"Authorization": authorization}
            | ({"Content-Type": "application/octet-stream"} if data is not None else {}),
        ) as answer:
            assert answer.status in (200, 201), await answer.text()
            return await (answer.json() if answer.content_type.endswith("json") else answer.read())

    async def bytes_of(self, document_id: str) -> bytes:
        """The bytes of a document as they are stored."""
        document = await self.stored("document", document_id)
        path = f"/document/{document_id}/attachment/{document['attachmentId']}"
        found: bytes = await self.as_master("GET", path)
        return found

    async def replace_bytes(self, document_id: str, data: bytes) -> None:
        await self.as_master("PUT", f"/document/{document_id}/attachment", data=data)


@pytest.fixture
async def ward(client_session: aiohttp.ClientSession, requests: RequestLog) -> AsyncIterator[Ward]:
    async with Sandbox(seed=stage(WORLD2, STAGE), jwt=False) as sandbox:
        yield Ward(sandbox, client_session, requests)
