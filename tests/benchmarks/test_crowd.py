"""The crowd of the benchmarks, a small one."""

from __future__ import annotations

import sys

import pytest

from benchmarks import crowd


def test_a_crowd_registers_reads_and_changes_without_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--clients", "2", "--seconds", "0.1", "--requests", "60"]
    monkeypatch.setattr(sys, "argv", ["crowd", *options])
    crowd.main()
    said = capsys.readouterr().out
    assert "errors: none" in said
    assert "memory after" in said
    assert "change" in said
