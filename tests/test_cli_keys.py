"""``icure keys``, as a person would run it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import typer.testing

from icure_async import KeyPair, PublicKey
from icure_async.cli import app, main
from icure_async.storage import EncryptedKeyStorage, FileKeyStorage, FileStorage
from icure_async.storage.backup import import_key_pairs
from icure_async.storage.files import write_private_file
from icure_sync import MedTechApiBuilder
from icure_sync.sandbox import Sandbox
from tests.support.keyrings import MemoryKeyring

OWNER = "3b241101-e2bb-4255-8caf-4136c566a962"
OTHER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
PASSPHRASE = "four words are hard to guess"

Result = subprocess.CompletedProcess[str]
Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run ``icure keys`` in this process, with the passphrase in the environment."""
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("ICURE_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def command(*arguments: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["icure", "keys", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        code = ended.value.code
        return subprocess.CompletedProcess(
            arguments, code if isinstance(code, int) else 0, said.out, said.err
        )

    return command


@pytest.fixture(scope="module")
def pairs(world: dict[str, Any]) -> list[KeyPair]:
    return [
        KeyPair(pair["publicKey"], pair["privateKey"])
        for name in ("ned", "hcp", "arya")
        for pair in world["users"][name]["keyPairs"][-1:]
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def _store(folder: Path, *pairs: KeyPair, owner: str = OWNER) -> None:
    async def store() -> None:
        for pair in pairs:
            await FileKeyStorage(folder).store_key_pair(owner, pair)

    asyncio.run(store())


def _publish(sandbox: Sandbox, public_key: str) -> None:
    """Add a public key to the master's document, as only a backend can."""
    master = sandbox.master_hcp
    document = sandbox.stored("hcparty", master.data_owner_id)
    assert document is not None
    document["aesExchangeKeys"] = {**document.get("aesExchangeKeys", {}), public_key: {}}
    request = urllib.request.Request(
        f"{sandbox.icure_url}/hcparty",
        json.dumps(document).encode(),
        {
            "Authorization": aiohttp.encode_basic_auth(master.login, master.password),
            "Content-Type": "application/json",
        },
        method="PUT",
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def _contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _shows_no_secret(result: Result, *pairs: KeyPair) -> None:
    for text in (result.stdout, result.stderr):
        assert PASSPHRASE not in text
        for pair in pairs:
            assert pair.private_key[-60:] not in text


class TestList:
    def test_it_says_whose_the_keys_are_and_where(
        self, run: Run, folder: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, pairs[0], pairs[1])
        _store(folder, pairs[2], owner=OTHER)
        result = run("list", "--keys", folder)
        assert result.returncode == 0, result.stderr
        first, second = result.stdout.split(f"Data owner {OTHER}")
        assert f"Data owner {OWNER}" in first
        for pair, part in zip(pairs, (first, first, second), strict=True):
            assert f"{pair.fingerprint}" in part
        assert f"{OTHER}.{pairs[2].fingerprint}" in second
        _shows_no_secret(result, *pairs)

    def test_json_is_for_programs(self, run: Run, folder: Path, pairs: list[KeyPair]) -> None:
        _store(folder, pairs[0])
        result = run("list", "--keys", folder, "--json")
        assert json.loads(result.stdout) == [
            {
                "data_owner_id": OWNER,
                "fingerprint": pairs[0].fingerprint,
                "file": str(folder / f"{OWNER}.{pairs[0].fingerprint}"),
                "problem": None,
            }
        ]

    def test_names_of_the_base_library_are_known(
        self, run: Run, folder: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, *pairs[:2])
        first, second = (folder / f"{OWNER}.{pair.fingerprint}" for pair in pairs[:2])
        first.rename(folder / f"org.taktik.icure.rsa.{OWNER}.{pairs[0].fingerprint}")
        second.rename(folder / f"org.taktik.icure.rsa.{OTHER}")
        (folder / "notes.txt").write_text("mine")
        listed = json.loads(run("list", "--keys", folder, "--json").stdout)
        assert {(key["data_owner_id"], key["fingerprint"]) for key in listed} == {
            (OWNER, pairs[0].fingerprint),
            (OTHER, pairs[1].fingerprint),
        }

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"publicKey":1,"privateKey":2}'])
    def test_a_broken_file_is_named_and_makes_it_fail(
        self, run: Run, folder: Path, pairs: list[KeyPair], content: bytes
    ) -> None:
        _store(folder, *pairs[:2])
        file = folder / f"{OWNER}.{pairs[0].fingerprint}"
        file.write_bytes(content)
        result = run("list", "--keys", folder)
        assert result.returncode == 1
        assert "•" in result.stdout
        assert pairs[1].fingerprint in result.stdout
        (broken,) = [
            key
            for key in json.loads(run("list", "--keys", folder, "--json").stdout)
            if key["problem"]
        ]
        assert broken["file"] == str(file)
        assert file.read_bytes() == content

    def test_an_open_file_is_named_with_the_remedy(
        self, run: Run, folder: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, pairs[0])
        (folder / f"{OWNER}.{pairs[0].fingerprint}").chmod(0o644)
        result = run("list", "--keys", folder)
        assert result.returncode == 1
        assert "chmod 600" in result.stdout

    def test_the_folder_of_with_storage_directory_serves(
        self, run: Run, tmp_path: Path, pairs: list[KeyPair], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _store(tmp_path / "app/keys", pairs[0])
        assert pairs[0].fingerprint in run("list", "--keys", tmp_path / "app").stdout
        monkeypatch.setenv("ICURE_KEYS", str(tmp_path / "app"))
        assert pairs[0].fingerprint in run("list").stdout

    def test_without_keys_it_says_where_it_looked(self, run: Run, tmp_path: Path) -> None:
        result = run("list")
        assert result.returncode == 0
        looked_in = "".join(result.stdout.split("\n"))
        assert "There are no key pairs in" in looked_in
        if sys.platform == "linux":
            assert str(tmp_path / "data/icure-sdk/keys") in looked_in


class TestExportAndImport:
    def test_a_backup_goes_from_one_folder_to_another(
        self, run: Run, folder: Path, tmp_path: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, *pairs)
        file = tmp_path / "my.backup"
        exported = run("export", file, "--keys", folder)
        assert exported.returncode == 0, exported.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "my.backup"]
        imported = run("import", file, "--keys", tmp_path / "new")
        assert imported.returncode == 0, imported.stderr
        assert OWNER in imported.stdout
        assert all(pair.fingerprint in imported.stdout for pair in pairs)
        assert _contents(tmp_path / "new") == _contents(folder)
        for result in (exported, imported):
            _shows_no_secret(result, *pairs)

    def test_what_is_not_in_the_backup_is_told(
        self, run: Run, folder: Path, tmp_path: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, *pairs)
        broken = folder / f"{OWNER}.{pairs[1].fingerprint}"
        broken.write_bytes(broken.read_bytes()[:100])
        file = tmp_path / "my.backup"
        result = run("export", file, "--keys", folder)
        assert result.returncode == 1
        assert "NOT in it" in result.stderr
        assert broken.name in result.stderr
        restored = FileKeyStorage(tmp_path / "new")
        backup = asyncio.run(import_key_pairs(restored, file.read_bytes(), PASSPHRASE))
        assert set(backup.key_pairs) == {pairs[0], pairs[2]}
        _shows_no_secret(result, *pairs)

    def test_a_file_is_never_overwritten_unless_told_to(
        self, run: Run, folder: Path, tmp_path: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, pairs[0])
        file = tmp_path / "my.backup"
        file.write_text("precious")
        result = run("export", file, "--keys", folder)
        assert result.returncode == 1
        assert "--overwrite" in result.stderr
        assert file.read_text() == "precious"
        assert run("export", file, "--keys", folder, "--overwrite").returncode == 0
        backup = asyncio.run(
            import_key_pairs(FileKeyStorage(tmp_path / "new"), file.read_bytes(), PASSPHRASE)
        )
        assert backup.key_pairs == (pairs[0],)

    def test_a_file_that_appears_meanwhile_is_not_overwritten(
        self,
        run: Run,
        folder: Path,
        tmp_path: Path,
        pairs: list[KeyPair],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        _store(folder, pairs[0])
        file = tmp_path / "my.backup"

        def meanwhile(*arguments: Any, **options: Any) -> None:
            file.write_text("precious")
            write_private_file(*arguments, **options)

        monkeypatch.setattr("icure_async.cli.keys.write_private_file", meanwhile)
        result = run("export", file, "--keys", folder)
        assert result.returncode == 1
        assert "--overwrite" in result.stderr
        assert file.read_text() == "precious"

    def test_the_data_owner_is_named_where_there_are_several(
        self, run: Run, folder: Path, tmp_path: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, pairs[0])
        _store(folder, pairs[1], owner=OTHER)
        file = tmp_path / "my.backup"
        result = run("export", file, "--keys", folder)
        assert result.returncode == 1
        assert OWNER in result.stderr
        assert OTHER in result.stderr
        assert not file.exists()
        assert run("export", file, "--keys", folder, "--owner", OTHER).returncode == 0
        other = run("import", file, "--keys", tmp_path / "new", "--owner", OWNER)
        assert other.returncode == 1
        assert "This is a backup of data owner" in other.stderr
        assert not (tmp_path / "new").exists()

    def test_a_wrong_passphrase_is_a_message(
        self,
        run: Run,
        folder: Path,
        tmp_path: Path,
        pairs: list[KeyPair],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        _store(folder, pairs[0])
        file = tmp_path / "my.backup"
        run("export", file, "--keys", folder)
        monkeypatch.setenv("ICURE_PASSPHRASE", "another one altogether")
        result = run("import", file, "--keys", tmp_path / "new")
        assert result.returncode == 1
        assert "the passphrase is wrong" in result.stderr.replace("\n", " ")
        assert "another one altogether" not in result.stderr
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("size", [10, 5 * 2**20])
    def test_another_file_is_a_message(self, run: Run, tmp_path: Path, size: int) -> None:
        file = tmp_path / "something"
        file.write_bytes(b"x" * size)
        result = run("import", file, "--keys", tmp_path / "new")
        assert result.returncode == 1
        assert "This backup cannot be used" in result.stderr

    def test_a_missing_file_or_folder_is_a_message(
        self, run: Run, folder: Path, tmp_path: Path, pairs: list[KeyPair]
    ) -> None:
        assert "nowhere" in run("import", tmp_path / "nowhere").stderr
        assert "--keys" in run("export", tmp_path / "file", "--keys", tmp_path / "empty").stderr
        _store(folder, pairs[0])
        result = run("export", tmp_path / "no/folder", "--keys", folder)
        assert result.returncode == 1
        assert "is not a folder" in " ".join(result.stderr.split())

    def test_a_full_disk_is_a_message(
        self,
        run: Run,
        folder: Path,
        tmp_path: Path,
        pairs: list[KeyPair],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        _store(folder, pairs[0])

        def fail(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fail)
        result = run("export", tmp_path / "my.backup", "--keys", folder)
        assert result.returncode == 1
        assert "Could not write" in result.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == ["keys"]

    def test_the_passphrase_is_asked_for_and_not_shown(
        self,
        folder: Path,
        tmp_path: Path,
        pairs: list[KeyPair],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("ICURE_PASSPHRASE", raising=False)
        _store(folder, pairs[0])
        file = tmp_path / "my.backup"
        runner = typer.testing.CliRunner()
        command = ["keys", "export", str(file), "--keys", str(folder)]
        typed = f"{PASSPHRASE}\nmistyped\n{PASSPHRASE}\n{PASSPHRASE}\n"
        result = runner.invoke(app, command, input=typed)
        assert result.exit_code == 0, result.output
        assert "Repeat for confirmation" in result.output
        assert PASSPHRASE not in result.output
        command = ["keys", "import", str(file), "--keys", str(tmp_path / "new")]
        result = runner.invoke(app, command, input=f"{PASSPHRASE}\n")
        assert result.exit_code == 0, result.output
        assert PASSPHRASE not in result.output
        assert _contents(tmp_path / "new") == _contents(folder)

    def test_neither_command_takes_a_passphrase_as_an_argument(self, run: Run) -> None:
        for command in ("export", "import", "doctor"):
            said = run(command, "--help").stdout
            assert "--passphrase" not in said
            assert "--password" not in said


class TestEncryptedFolders:
    OPENS = "and these open the folder"

    @pytest.fixture(autouse=True)
    def _passphrase(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ICURE_STORAGE_PASSPHRASE", self.OPENS)

    def test_a_backup_goes_into_one_and_out_of_it(
        self, run: Run, folder: Path, tmp_path: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, *pairs)
        file, again, new = tmp_path / "keys.backup", tmp_path / "again.backup", tmp_path / "new"
        assert run("export", file, "--keys", folder).returncode == 0
        result = run("import", file, "--keys", new, "--encrypt", "passphrase")
        assert result.returncode == 0, result.stderr
        assert not any(b'"kty"' in content for content in _contents(new).values())
        # Once it is encrypted, it is recognised.
        listed = run("list", "--keys", new)
        assert listed.returncode == 0, listed.stdout
        assert all(pair.fingerprint in listed.stdout for pair in pairs)
        assert run("export", again, "--keys", new).returncode == 0
        for said in (result, listed):
            _shows_no_secret(said, *pairs)
            assert self.OPENS not in said.stdout + said.stderr
        assert run("import", again, "--keys", tmp_path / "plain").returncode == 0
        assert _contents(tmp_path / "plain") == _contents(folder)

    def test_a_wrong_passphrase_is_a_message(
        self,
        run: Run,
        folder: Path,
        tmp_path: Path,
        pairs: list[KeyPair],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        _store(folder, pairs[0])
        file, new = tmp_path / "keys.backup", tmp_path / "new"
        run("export", file, "--keys", folder)
        run("import", file, "--keys", new, "--encrypt", "passphrase")
        before = _contents(new)
        monkeypatch.setenv("ICURE_STORAGE_PASSPHRASE", "these do not open it")
        listed = run("list", "--keys", new)
        assert listed.returncode == 1
        assert "passphrase" in listed.stdout
        imported = run("import", file, "--keys", new)
        assert imported.returncode == 1
        assert "passphrase" in imported.stderr
        assert _contents(new) == before

    def test_keys_that_are_not_encrypted_are_not_mixed_with_others(
        self, run: Run, folder: Path, tmp_path: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, pairs[0])
        file = tmp_path / "keys.backup"
        run("export", file, "--keys", folder)
        before = _contents(folder)
        result = run("import", file, "--keys", folder, "--encrypt", "passphrase")
        assert result.returncode == 1
        assert "another folder" in result.stderr
        assert _contents(folder) == before

    def test_one_is_not_encrypted_twice(
        self, run: Run, folder: Path, tmp_path: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, pairs[0])
        file, new = tmp_path / "keys.backup", tmp_path / "new"
        run("export", file, "--keys", folder)
        run("import", file, "--keys", new, "--encrypt", "passphrase")
        result = run("import", file, "--keys", new, "--encrypt", "keyring")
        assert result.returncode == 1
        assert "encrypted already" in result.stderr

    def test_the_system_keyring_serves(
        self,
        run: Run,
        folder: Path,
        tmp_path: Path,
        pairs: list[KeyPair],
        system_keyring: MemoryKeyring,
    ) -> None:
        _store(folder, pairs[0])
        file, new = tmp_path / "keys.backup", tmp_path / "new"
        run("export", file, "--keys", folder)
        result = run("import", file, "--keys", new, "--encrypt", "keyring")
        assert result.returncode == 0, result.stderr
        assert len(system_keyring.entries) == 1
        listed = run("list", "--keys", new)
        assert listed.returncode == 0
        assert pairs[0].fingerprint in listed.stdout


class TestWritingPrivateFiles:
    def test_a_file_system_without_hard_links_serves(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(Path, "hardlink_to", refuse)
        file = tmp_path / "file"
        write_private_file(file, b"first")
        with pytest.raises(FileExistsError):
            write_private_file(file, b"second")
        assert _contents(tmp_path) == {"file": b"first"}

    def test_a_failed_write_leaves_what_was_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "file"
        write_private_file(file, b"first")

        def fail(_: int) -> None:
            raise OSError("no space")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="no space"):
            write_private_file(file, b"second", overwrite=True)
        assert _contents(tmp_path) == {"file": b"first"}


class TestDoctor:
    @pytest.fixture
    def sandbox(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
        with Sandbox() as running:
            monkeypatch.setenv("ICURE_URL", running.icure_url)
            monkeypatch.setenv("ICURE_LOGIN", running.master_hcp.login)
            monkeypatch.setenv("ICURE_PASSWORD", running.master_hcp.password)
            yield running

    def test_all_is_well_where_the_keys_are(
        self, run: Run, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        owner, pair = sandbox.master_hcp.data_owner_id, sandbox.master_hcp.key_pair
        _store(tmp_path / "app/keys", pair, owner=owner)
        before = _contents(tmp_path / "app/keys")
        result = run("doctor", "--keys", tmp_path / "app")
        assert result.returncode == 0, result.stdout + result.stderr
        assert f"Published keys of data owner {owner} (hcparty)" in result.stdout
        assert pair.fingerprint in result.stdout
        assert "on this device" in result.stdout
        assert "Nothing is wrong." in result.stdout
        assert _contents(tmp_path / "app/keys") == before
        assert not (tmp_path / "app/state").exists()
        _shows_no_secret(result, pair)

    def test_a_missing_key_makes_it_fail_and_say_what_to_do(
        self, run: Run, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        result = run("doctor", "--keys", tmp_path / "app")
        assert result.returncode == 1
        said = " ".join(result.stdout.split())
        assert sandbox.master_hcp.key_pair.fingerprint in said
        assert "not on this device" in said
        assert "import_keys()" in said
        assert not (tmp_path / "app").exists()
        report = json.loads(run("doctor", "--keys", tmp_path / "app", "--json").stdout)
        assert report["data_owner_id"] == sandbox.master_hcp.data_owner_id
        assert [key["status"] for key in report["keys"]] == ["missing"]
        assert report["problems"]

    def test_a_key_that_this_device_does_not_know_is_named_and_not_called_right(
        self, run: Run, sandbox: Sandbox, tmp_path: Path, pairs: list[KeyPair]
    ) -> None:
        master, planted = sandbox.master_hcp, pairs[0]
        _store(tmp_path / "keys", master.key_pair, owner=master.data_owner_id)
        _publish(sandbox, planted.public_key)
        result = run("doctor", "--keys", tmp_path / "keys")
        assert result.returncode == 0
        said = result.stdout.splitlines()
        (unknown,) = (line for line in said if line.startswith("Not known to this device: "))
        assert PublicKey(master.data_owner_id, planted.public_key).digest in unknown
        assert said[-1] == "Nothing else is wrong."
        report = json.loads(run("doctor", "--keys", tmp_path / "keys", "--json").stdout)
        assert report["unknown"] == [planted.fingerprint]
        assert report["problems"] == []

    def test_notices_that_are_still_to_be_sent_are_found_beside_the_keys(
        self, run: Run, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        master = sandbox.master_hcp
        builder = (
            MedTechApiBuilder()
            .with_icure_base_url(sandbox.icure_url)
            .with_user_name(master.login)
            .with_password(master.password)
            .with_storage_directory(tmp_path / "app")
        )
        with builder.build() as api:
            (pair,) = api.init_user_crypto(missing_key="allow")
        record = f"icure.key_notices.{master.data_owner_id}.{pair.fingerprint}"
        FileStorage(tmp_path / "app/state").path_of(record).write_text('{"version":1}')
        result = run("doctor", "--keys", tmp_path / "app")
        assert result.returncode == 1
        assert "Not everybody has been told" in " ".join(result.stdout.split())

    def test_a_refused_password_is_a_message(
        self,
        run: Run,
        sandbox: Sandbox,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("ICURE_PASSWORD", "not the password")
        result = run("doctor", "--keys", tmp_path)
        assert result.returncode == 1
        assert result.stderr
        assert "not the password" not in result.stderr + result.stdout

    def test_the_login_and_the_password_are_asked_for(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        master = sandbox.master_hcp
        for name in ("ICURE_LOGIN", "ICURE_PASSWORD"):
            monkeypatch.delenv(name)
        result = typer.testing.CliRunner().invoke(
            app,
            ["keys", "doctor", "--json", "--keys", str(tmp_path)],
            input=f"{master.login}\n{master.password}\n",
        )
        assert result.exit_code == 1
        assert '"status": "missing"' in result.output
        assert master.password not in result.output


class TestOutput:
    """Output that can be copied, cut and searched, however narrow the terminal is."""

    @pytest.fixture(autouse=True)
    def narrow(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "40")

    def test_each_key_is_one_line(self, run: Run, folder: Path, pairs: list[KeyPair]) -> None:
        _store(folder, *pairs)
        lines = run("list", "--keys", folder).stdout.splitlines()
        rows = [line.split("  ") for line in lines if line.startswith("  ")]
        assert [[cell.strip() for cell in row if cell] for row in rows[1:]] == sorted(
            [pair.fingerprint, f"{OWNER}.{pair.fingerprint}"] for pair in pairs
        )
        assert lines[0] == f"Key pairs in {folder}"

    def test_a_problem_with_its_command_is_one_line(
        self, run: Run, folder: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, pairs[0])
        file = folder / f"{OWNER}.{pairs[0].fingerprint}"
        file.chmod(0o644)
        said = run("list", "--keys", folder).stdout.splitlines()
        assert said[-1].endswith(f"chmod 600 {file}")

    def test_an_error_is_one_line(self, run: Run, tmp_path: Path) -> None:
        said = run("export", tmp_path / "file", "--keys", tmp_path / "empty").stderr
        assert said.count("\n") == 1
        assert str(tmp_path / "empty") in said

    def test_an_import_and_an_export_name_files_in_one_piece(
        self, run: Run, folder: Path, tmp_path: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, pairs[0])
        file = tmp_path / "my.backup"
        assert f"{OWNER} are in {file}." in run("export", file, "--keys", folder).stdout
        said = run("import", file, "--keys", tmp_path / "new").stdout
        assert said == (
            f"These key pairs of data owner {OWNER} are in {tmp_path / 'new'} now:\n"
            f"  {pairs[0].fingerprint}\n"
        )


class TestWithoutATerminal:
    """As in a pipeline: a program of its own, in a session of its own."""

    def icure(self, *arguments: str | Path, **environment: str) -> Result:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ICURE_")}
        return subprocess.run(
            [sys.executable, "-c", "from icure_async.cli import main; main()", "keys"]
            + [str(argument) for argument in arguments],
            env=kept | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            timeout=60,
        )

    def test_an_encrypted_folder_names_the_variable_with_its_passphrase(
        self, folder: Path, pairs: list[KeyPair]
    ) -> None:
        keys = EncryptedKeyStorage(folder, passphrase=PASSPHRASE)
        asyncio.run(keys.store_key_pair(OWNER, pairs[0]))
        ended = self.icure("list", "--keys", folder)
        assert ended.returncode == 1
        assert ended.stdout == ""
        assert ended.stderr == (
            f"Passphrase of {folder}:\n"
            "There is no terminal to ask for it: set ICURE_STORAGE_PASSPHRASE.\n"
        )

    def test_each_of_the_others_names_its_variable(
        self, folder: Path, tmp_path: Path, pairs: list[KeyPair]
    ) -> None:
        _store(folder, pairs[0])
        export = self.icure("export", tmp_path / "file", "--keys", folder)
        password = self.icure("doctor", ICURE_URL="http://127.0.0.1:9", ICURE_LOGIN="ned")
        for ended, variable in ((export, "ICURE_PASSPHRASE"), (password, "ICURE_PASSWORD")):
            assert ended.returncode == 1
            assert ended.stderr.endswith(f"There is no terminal to ask for it: set {variable}.\n")
            assert "Warning" not in ended.stderr
            assert "Abort" not in ended.stderr
        assert not (tmp_path / "file").exists()


class TestHome:
    def test_a_user_without_a_home_is_told_what_to_do(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, folder: Path, pairs: list[KeyPair]
    ) -> None:
        def unknown(uid: int) -> object:
            raise KeyError(uid)

        for name in ("HOME", "XDG_DATA_HOME", "USERPROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("pwd.getpwuid", unknown)
        for arguments in (["list"], ["list", "--keys", "~/keys"], ["list", "--keys", "~nobody-/"]):
            result = run(*arguments)
            assert result.returncode == 1
            assert result.stdout == ""
            assert result.stderr.count("\n") == 1
            assert "set HOME" in result.stderr
            assert "--keys" in result.stderr
        _store(folder, pairs[0])
        assert run("list", "--keys", folder).returncode == 0


class TestMissingBackups:
    @pytest.mark.parametrize("kind", ["missing", "folder", "unreadable"])
    def test_a_file_that_cannot_be_read_is_told_with_what_to_name(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        file = tmp_path if kind == "folder" else tmp_path / "my.backup"
        if kind == "unreadable":
            file.touch()

            def refuse(*_: object, **__: object) -> None:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

            monkeypatch.setattr(Path, "open", refuse)
        result = run("import", file, "--keys", tmp_path / "new")
        assert result.returncode == 1
        assert result.stderr.startswith(f"Could not read {file}: ")
        assert "icure keys export" in result.stderr
        assert "Errno" not in result.stderr
