"""``icure storage``, on a real server."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from icure_async.cli import app
from icure_async.errors import ConfigurationError, StorageError
from tests.support.postgres import PASSWORD, PostgresServer

pytestmark = pytest.mark.postgres


def run(*arguments: str, url: str = "") -> Result:
    return CliRunner().invoke(app, ["storage", *arguments], env={"ICURE_DATABASE_URL": url})


def test_init_makes_the_tables_once_and_status_shows_them(postgres_server: PostgresServer) -> None:
    url = postgres_server.url(postgres_server.new_database())
    result = run("status", "--json", url=url)
    assert result.exit_code == 1
    before = json.loads(result.stdout)
    assert before["version"] == 0
    assert "icure storage init" in before["problems"][0]
    for _ in range(2):
        result = run("init", url=url)
        assert result.exit_code == 0, result.output
        assert "is up to date" in result.stderr
    result = run("status", "--json", url=url)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["version"] == found["newest_version"]
    assert (found["items"], found["namespaces"], found["pooler"]) == (0, 0, False)
    assert found["problems"] == []
    assert "server version" in run("status", "--database", url).stdout.replace("_", " ")


def test_grant_lets_a_user_use_the_tables_and_no_more(postgres_server: PostgresServer) -> None:
    name = postgres_server.new_database()
    postgres_server.execute("CREATE ROLE service LOGIN")
    assert run("init", "--grant", "service", url=postgres_server.url(name)).exit_code == 0
    service = postgres_server.url(name, user="service")
    assert run("status", "--json", url=service).exit_code == 0
    result = run("init", "--grant", "nobody-there", url=postgres_server.url(name))
    assert isinstance(result.exception, StorageError)
    assert "no such user" in str(result.exception)


def test_the_database_must_be_named() -> None:
    result = run("init")
    assert isinstance(result.exception, ConfigurationError)
    assert "ICURE_DATABASE_URL" in str(result.exception)


def test_a_password_is_shown_nowhere(postgres_server: PostgresServer) -> None:
    url = postgres_server.tcp_url("postgres", password=f"not-{PASSWORD}")
    for command in ("init", "status"):
        result = run(command, url=url)
        assert isinstance(result.exception, StorageError)
        assert "user name or the password" in str(result.exception)
        assert PASSWORD not in f"{result.output}{result.exception!r}{result.exc_info}"
