from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
import release

GOOD = [*release.MUST_HAVE, "icure_async-0.1.0.dist-info/METADATA"]
SOURCES = ["pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tests/conftest.py"]


def wheel_of(folder: Path, names: list[str]) -> Path:
    path = folder / "icure_async-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


def sdist_of(folder: Path, names: list[str]) -> Path:
    path = folder / "icure_async-0.1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(f"icure_async-0.1.0/{name}"), io.BytesIO())
    return path


def test_a_wheel_with_the_packages_alone_is_one(tmp_path: Path) -> None:
    release.check_wheel(wheel_of(tmp_path, GOOD))


@pytest.mark.parametrize(
    "name", ["tests/conftest.py", "tools/gen_sync.py", "icure_async/__pycache__/a.pyc"]
)
def test_a_wheel_with_anything_else_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(release.ReleaseError, match=f"{name} is in the wheel"):
        release.check_wheel(wheel_of(tmp_path, [*GOOD, name]))


@pytest.mark.parametrize("name", release.MUST_HAVE)
def test_a_wheel_without_a_data_file_is_refused(tmp_path: Path, name: str) -> None:
    names = [other for other in GOOD if other != name]
    with pytest.raises(release.ReleaseError, match=f"{name} is not in the wheel"):
        release.check_wheel(wheel_of(tmp_path, names))


def test_an_sdist_holds_the_tests_and_nothing_that_was_made_here(tmp_path: Path) -> None:
    release.check_sdist(sdist_of(tmp_path, SOURCES))
    with pytest.raises(release.ReleaseError, match="is not in the sdist"):
        release.check_sdist(sdist_of(tmp_path, SOURCES[1:]))
    with pytest.raises(release.ReleaseError, match="is in the sdist"):
        release.check_sdist(sdist_of(tmp_path, [*SOURCES, "tests/interop/node_modules/a.js"]))


def test_a_version_that_only_one_place_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(release.ReleaseError, match="is not version"):
        release.check_version(tmp_path / "icure_async-9.9.9-py3-none-any.whl")


def test_the_interpreters_of_the_machine_run() -> None:
    assert release.pythons()
