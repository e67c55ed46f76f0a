"""Errors as values that travel between programs."""

from __future__ import annotations

import copy
import pickle

import pytest

from icure_async.errors import DecryptionError, ICureError, KeyPairNotFoundError


@pytest.mark.parametrize(
    "error",
    [
        DecryptionError("m", entity_type="patient", entity_ids=["a"]),
        KeyPairNotFoundError("m", data_owner_id="a", fingerprints=["f"]),
    ],
)
def test_an_error_survives_pickling_and_copying(error: ICureError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)
