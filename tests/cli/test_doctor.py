"""``icure doctor``: a line for each check, with the next step where something is wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from icure_sync.sandbox import Sandbox
from tests.support.command import Command


def _states(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["state"] for check in report["checks"]}


def _bad(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [check for check in report["checks"] if check["state"] == "bad"]


@contextmanager
def _server(
    status: int = 200, body: bytes = b"6.0.0", kind: str = "text/plain", date: float | None = None
) -> Iterator[str]:
    """A server with one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response_only(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if date is not None:
                self.send_header("Date", formatdate(date, usegmt=True))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_all_is_well_after_a_registration(icure: Command, person: dict[str, Any]) -> None:
    report = icure.json("doctor")
    assert report["ok"] is True
    names = [check["name"] for check in report["checks"]]
    assert list(dict.fromkeys(names)) == [
        *("Settings", "Flavour", "Backend", "Clock", "Gateway", "Spec id", "Process"),
        *("Folders", "Login", "Token", "Keys"),
    ]
    assert set(_states(report).values()) == {"good"}
    lines = icure("doctor").stdout.splitlines()
    assert len(lines) == len(names)
    assert all(line.startswith("✓ ") for line in lines)


def test_nobody_logged_in_is_a_hint(icure: Command) -> None:
    report = icure.json("doctor")
    assert report["ok"] is True
    assert _states(report)["Login"] == "doubtful"
    assert "! Login" in icure("doctor").stdout


def test_no_code_is_sent(icure: Command, running: Sandbox, phone: str) -> None:
    icure.register(running, phone)
    before = icure("code", phone).stdout
    icure("doctor")
    assert icure("code", phone).stdout == before


def test_an_empty_environment_says_what_to_set(icure: Command) -> None:
    icure.environment.clear()
    (check,) = _bad(icure.json("doctor", code=1))
    assert check["name"] == "Backend"
    assert "ICURE_URL" in check["next_step"]
    assert "icure config set default --url" in check["next_step"]


@pytest.mark.parametrize("name", ["ICURE_URL", "ICURE_MSG_GTW_URL"])
def test_a_server_that_cannot_be_reached_is_named(icure: Command, name: str) -> None:
    checks = _bad(icure.json("doctor", code=1, env={name: "http://127.0.0.1:9"}))
    expected = "Backend" if name == "ICURE_URL" else "Gateway"
    assert checks[0]["name"] == expected
    assert name in checks[0]["next_step"]


@pytest.mark.parametrize(
    "answer",
    [
        {"body": b"<html>Log in to this network</html>", "kind": "text/html"},
        {"status": 404, "body": b"{}", "kind": "application/json"},
        {"status": 302, "body": b""},
        {"status": 200, "body": b""},
    ],
    ids=["page", "missing", "redirection", "empty"],
)
def test_another_server_is_no_backend_and_no_gateway(
    icure: Command, answer: dict[str, Any]
) -> None:
    with _server(**answer) as url:
        backend = _bad(icure.json("doctor", code=1, ICURE_URL=url))
        assert backend[0]["name"] == "Backend"
        assert "something else" in backend[0]["found"]
        if answer.get("status") in (None, 404) and answer["body"]:
            gateway = _bad(icure.json("doctor", code=1, ICURE_MSG_GTW_URL=url))
            assert gateway[0]["name"] == "Gateway"
            assert "ICURE_MSG_GTW_URL" in gateway[0]["next_step"]


def test_a_backend_is_no_gateway(icure: Command, running: Sandbox) -> None:
    report = icure.json("doctor", code=1, ICURE_MSG_GTW_URL=running.icure_url)
    assert _bad(report)[0]["name"] == "Gateway"


def test_a_wrong_spec_id_is_told_from_a_wrong_process(icure: Command) -> None:
    (spec,) = _bad(icure.json("doctor", code=1, SPEC_ID="other"))
    assert spec["name"] == "Spec id"
    assert "SPEC_ID" in spec["next_step"]
    (process,) = _bad(icure.json("doctor", code=1, AUTH_BY_SMS_PATIENT_PROCESS_ID="other"))
    assert process["name"] == "Process"
    assert "AUTH_BY_SMS_PATIENT_PROCESS_ID" in process["next_step"]
    assert "--patient-sms-process-id" in process["next_step"]


def test_a_spec_id_without_a_process_and_the_other_way_round(icure: Command) -> None:
    url, gateway = icure.environment["ICURE_URL"], icure.environment["ICURE_MSG_GTW_URL"]
    icure.environment = {"ICURE_URL": url, "ICURE_MSG_GTW_URL": gateway, "SPEC_ID": "ic"}
    assert "PROCESS_ID" in _bad(icure.json("doctor", code=1))[0]["next_step"]
    icure.environment = {"ICURE_URL": url, "AUTH_BY_SMS_HCP_PROCESS_ID": "hcp-sms"}
    assert "SPEC_ID" in _bad(icure.json("doctor", code=1))[0]["next_step"]


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_wrong_clock_is_told_with_its_way(icure: Command, seconds: int) -> None:
    import time

    icure.environment.clear()
    with _server(date=time.time() + seconds) as url:
        (clock,) = _bad(icure.json("doctor", code=1, ICURE_URL=url))
    assert clock["name"] == "Clock"
    assert ("behind" if seconds > 0 else "ahead") in clock["found"]


def test_a_folder_that_others_can_open_is_named_and_left_alone(
    icure: Command, person: dict[str, Any]
) -> None:
    folder = icure.keys
    folder.chmod(0o755)
    (check,) = _bad(icure.json("doctor", code=1))
    assert check["next_step"] == f"chmod 700 {folder}"
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_key_file_that_others_can_open_is_named(icure: Command, person: dict[str, Any]) -> None:
    (file,) = icure.keys.iterdir()
    file.chmod(0o644)
    found = " ".join(check["found"] for check in _bad(icure.json("doctor", code=1)))
    assert f"chmod 600 {file}" in found


def test_a_login_that_others_can_open_is_named(icure: Command, person: dict[str, Any]) -> None:
    icure.login_file().chmod(0o640)
    (check,) = _bad(icure.json("doctor", code=1))
    assert check["name"] == "Login"


def test_a_missing_key_is_told_with_the_ways_back(icure: Command, person: dict[str, Any]) -> None:
    (file,) = icure.keys.iterdir()
    file.unlink()
    (check,) = _bad(icure.json("doctor", code=1))
    assert check["name"] == "Keys"
    assert "icure keys import" in check["next_step"]


def test_a_token_that_ends_soon_is_a_hint(icure: Command, running: Sandbox, phone: str) -> None:
    icure.register(running, phone)
    icure("login", phone, "--captcha", "solved", code=1)
    icure.enter_code("--store", "file", "--days", "1")
    report = icure.json("doctor")
    assert _states(report)["Token"] == "doubtful"


def test_a_token_that_works_no_more_is_told(icure: Command, person: dict[str, Any]) -> None:
    login = json.loads(icure.login_file().read_text())
    icure.login_file().write_text(json.dumps(login | {"token": "another-one"}))
    (check,) = _bad(icure.json("doctor", code=1))
    assert check["name"] == "Login"
    assert "icure login" in check["next_step"]
    assert "another-one" not in icure.said


def test_a_url_in_clear_is_told(icure: Command, tmp_path: Path) -> None:
    from icure_async.cli.doctor_servers import check_encryption

    (check,) = check_encryption("Backend", "http://icure.example/rest/v1", "set it")
    assert check.state == "bad"
    for url in ("https://icure.example", "http://localhost:16043", "http://127.0.0.1/rest/v1"):
        assert list(check_encryption("Backend", url, "set it")) == []
