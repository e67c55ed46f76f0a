# ruff: noqa: T201
"""A trial of the service: a sandbox, the tables in the database, and two workers.

``ICURE_DATABASE_URL=postgresql://... python -m fastapi_service`` in the folder ``examples``.
"""

import asyncio
import os
import secrets
import signal
import sys
from contextlib import aclosing
from pathlib import Path

from fastapi_service.service import setting
from icure_async.sandbox import Sandbox
from icure_async.storage import PostgresStorage

ADDRESS = "127.0.0.1", os.environ.get("PORT", "8000")


async def main() -> int:
    """Run until Ctrl-C or SIGTERM."""
    async with aclosing(PostgresStorage(setting("ICURE_DATABASE_URL"))) as database:
        await database.init()
    async with Sandbox() as sandbox:
        host, port = ADDRESS
        print(f"Codes arrive at {sandbox.page_url}")
        print(f"Sign in at      http://{host}:{port}/", flush=True)
        workers = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "fastapi_service.app:app", "--workers", "2"),
            *("--app-dir", str(Path(__file__).parents[1]), "--host", host, "--port", port),
            env={
                **os.environ,
                **sandbox.environment,
                "DOCTOR_ID": sandbox.master_hcp.data_owner_id,
                "SERVICE_SECRET": secrets.token_urlsafe(32),
                "ALLOW_HTTP": "1",
            },
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, workers.terminate)
        return await workers.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
