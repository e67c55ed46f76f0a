"""Listing 10,000 data samples of a patient: ours and the reference, side by side in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any, Final

from benchmarks.people import KEY_PAIR, NED, OWNER_ID
from benchmarks.sandbox_process import serving
from icure_async import Content, DataSample, KeyPair, Measure, MedTechApi
from tests.support.builders import builder_for
from tests.support.counts import Count
from tests.support.reference_package import install_reference
from tests.support.reference_sdk import ReferenceSdk

SAMPLES: Final = 10_000
BATCH: Final = 500
ROUNDS: Final = 3
PATIENCE_SECONDS: Final = 300.0


async def _write(api: MedTechApi) -> None:
    for start in range(0, SAMPLES, BATCH):
        measures = [Measure(value=number) for number in range(start, start + BATCH)]
        await api.data_sample_api.create_or_modify_data_samples_for(
            OWNER_ID,
            [DataSample(content={"en": Content(measure_value=one)}) for one in measures],
        )


async def _ours(api: MedTechApi) -> Mapping[str, float]:
    """Return the seconds of CPU and on the wall of a list, decrypted."""
    patient = await api.patient_api.get_patient(OWNER_ID)
    cpu, wall = time.process_time(), time.perf_counter()
    found = await api.data_sample_api.get_data_samples_for_patient(patient)
    cost = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    assert len(found) == SAMPLES
    assert all(one.content["en"].measure_value is not None for one in found)
    return cost


async def _theirs(reference: ReferenceSdk) -> Mapping[str, float]:
    cost: Mapping[str, Any] = await reference.call(
        "timed", command="countSamplesOf", each=[{"patientId": OWNER_ID}], atOnce=1
    )
    return cost


async def test_10000_samples_by_patient(count: Count) -> None:
    pair = KeyPair(KEY_PAIR["publicKey"], KEY_PAIR["privateKey"])
    # In a process of its own, whose work does not count.
    with serving(0) as url:
        reference = await ReferenceSdk.start(install_reference())
        reference.patience = PATIENCE_SECONDS
        try:
            async with builder_for(url, NED["login"], NED["token"]).build() as api:
                await api.init_user_crypto(pair)
                await _write(api)
                await reference.login(url, NED["login"], NED["token"])
                await reference.use_key_pair(pair)
                assert await reference.call("countSamplesOf", patientId=OWNER_ID) == SAMPLES
                rounds = [(await _ours(api), await _theirs(reference)) for _ in range(ROUNDS)]
        finally:
            await reference.aclose()
    for name in ("cpu", "wall"):
        ours, theirs = (
            statistics.median(each[name] for each in side) for side in zip(*rounds, strict=True)
        )
        count(
            f"{SAMPLES:,} samples by patient, {name}: ours {ours:.2f} s, the reference "
            f"{theirs:.2f} s, {theirs / ours:.1f} times as much"
        )
