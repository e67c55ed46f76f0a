"""A private key split among notaries by one SDK, and put together by the other."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from icure_async import KeyPair, Patient
from tests.support.notes import MARKER
from tests.support.our_sdk import register_with_sdk, sdk
from tests.support.reference_sdk import HexKeyPair, ReferenceSdkError
from tests.support.reference_steps import register_with_reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from icure_async import AuthenticationResult, MedTechApi
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceSdk

pytestmark = pytest.mark.interop

OWNER_PHONE = "+32588235595"
NOTARY_PHONES = ["+32588235596", "+32588235597", "+32588235598"]


class Notary:
    """A professional with our SDK."""

    def __init__(self, notary_id: str, result: AuthenticationResult) -> None:
        self.id = notary_id
        self.api: MedTechApi = result.med_tech_api
        self.key_pair: KeyPair = result.key_pairs[0]


@pytest.fixture
async def notaries(sandbox: Sandbox) -> AsyncIterator[list[Notary]]:
    async with AsyncExitStack() as stack:
        found: list[Notary] = []
        for number, phone in enumerate(NOTARY_PHONES):
            result = await register_with_sdk(
                sandbox, phone, first_name="Maester", last_name=f"N{number}", professional=True
            )
            await stack.enter_async_context(result.med_tech_api)
            user = await result.med_tech_api.user_api.get_logged_user()
            assert user.healthcare_party_id is not None
            found.append(Notary(user.healthcare_party_id, result))
        yield found


@pytest.mark.parametrize(
    ("count", "threshold"), [(1, None), (2, None), (3, 2)], ids=["one", "all_of_2", "2_of_3"]
)
async def test_we_recover_a_key_that_the_reference_split(
    sandbox: Sandbox,
    reference: ReferenceSdk,
    notaries: list[Notary],
    count: int,
    threshold: int | None,
) -> None:
    owner = await register_with_reference(reference, sandbox, OWNER_PHONE)
    created = await reference.create_patient(firstName="Robb", lastName="Stark", note=MARKER)
    chosen = notaries[:count]
    await reference.split_private_key(
        owner.key_pair, [notary.id for notary in chosen], threshold=threshold
    )
    shares = [
        await notary.api.data_owner_api.get_key_share_of(owner.data_owner_id)
        for notary in chosen[-(threshold or count) :]
    ]
    async with sdk(sandbox, owner.login, owner.token) as api:
        recovered = await api.data_owner_api.recover_private_key_from(shares)
        assert recovered == KeyPair(owner.key_pair.public_key, owner.key_pair.private_key)
        await api.init_user_crypto()
        assert (await api.patient_api.get_patient(created["id"])).note == MARKER


@pytest.mark.parametrize(
    ("count", "threshold"), [(1, None), (2, None), (3, 2)], ids=["one", "all_of_2", "2_of_3"]
)
async def test_the_reference_recovers_a_key_that_we_split(
    sandbox: Sandbox,
    reference: ReferenceSdk,
    notaries: list[Notary],
    count: int,
    threshold: int | None,
) -> None:
    result = await register_with_sdk(sandbox, OWNER_PHONE)
    [pair] = result.key_pairs
    async with result.med_tech_api as api:
        patient = await api.patient_api.create_or_modify_patient(
            Patient(first_name="Robb", last_name="Stark", note=MARKER)
        )
        await api.data_owner_api.split_private_key_among(
            [notary.id for notary in notaries[:count]], threshold=threshold
        )
    assert patient.id is not None
    await reference.login(sandbox.icure_url, OWNER_PHONE, result.token)
    helpers: dict[str, HexKeyPair] = {
        notary.id: notary.key_pair for notary in notaries[:count][-(threshold or count) :]
    }
    recovered = await reference.recover_private_key(helpers)
    assert (recovered.public_key, recovered.private_key) == (pair.public_key, pair.private_key)
    await reference.use_key_pair(recovered)
    assert (await reference.get_patient(patient.id))["note"] == MARKER


async def test_shamir_shares_lose_a_nibble_so_the_reference_cannot_recover_its_own(
    sandbox: Sandbox, reference: ReferenceSdk, notaries: list[Notary]
) -> None:
    owner = await register_with_reference(reference, sandbox, OWNER_PHONE)
    ids = [notary.id for notary in notaries[:2]]
    await reference.split_private_key(owner.key_pair, ids)
    await reference.login(sandbox.icure_url, owner.login, owner.token)
    with pytest.raises(ReferenceSdkError, match="Nothing was recovered"):
        await reference.recover_private_key({notary.id: notary.key_pair for notary in notaries[:2]})
