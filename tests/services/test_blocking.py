"""The service kit for blocking callers: the same pool and stores, used by threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import icure_async
from icure_async.services import PoolUser, UserCredentials
from icure_async.storage.memory import MemoryStorage as AsyncMemoryStorage
from icure_sync import AnonymousMedTechApiBuilder, MedTechApi, MedTechApiBuilder
from icure_sync.errors import (
    AuthenticationError,
    ConfigurationError,
    PoolClosedError,
    TokenExpiredError,
)
from icure_sync.sandbox import Sandbox
from icure_sync.services import ApiPool, ProcessStore, SessionStore
from icure_sync.storage import MemoryKeyStorage, MemoryStorage
from tests.support.builders import configured
from tests.support.logins import PHONE


class Service:
    """The parts of a blocking service, on a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.storage, self.key_storage = MemoryStorage(), MemoryKeyStorage()
        self.processes, self.sessions = ProcessStore(self.storage), SessionStore(self.storage)
        self.builder = MedTechApiBuilder().with_icure_base_url(sandbox.icure_url)
        self.builder.with_storage(self.storage).with_key_storage(self.key_storage)

    def sign_in(self, phone: str = PHONE) -> str:
        builder = configured(AnonymousMedTechApiBuilder(), self.sandbox)
        builder.with_storage(self.storage).with_key_storage(self.key_storage)
        with builder.build() as api:
            process = api.authentication_api.start_authentication(
                "captcha",
                phone_number=phone,
                healthcare_professional_id=self.sandbox.master_hcp.data_owner_id,
            )
            sign_in_id = self.processes.add(process)
            code = self.sandbox.wait_for_code(phone)
            return self.processes.complete(sign_in_id, code, api, self.sessions)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Sandbox() as sandbox:
        yield Service(sandbox)


def test_threads_share_the_api_of_a_user(service: Service) -> None:
    session = service.sessions.get(service.sign_in())
    assert session is not None
    with ApiPool(service.builder) as pool, ThreadPoolExecutor(8) as threads:

        def visit(_: int) -> tuple[str, int]:
            with pool.use(session) as api:
                assert isinstance(api, MedTechApi)
                return api.data_owner_id(), id(api)

        found = {*threads.map(visit, range(20))}
        assert {owner for owner, _ in found} == {session.data_owner_id}
        assert len(found) == 1
        assert pool.statistics.built == 1
    with pytest.raises(PoolClosedError), pool.use(session):
        pass


def test_plain_functions_configure_and_start_an_api(service: Service) -> None:
    session = service.sessions.get(service.sign_in())
    assert session is not None
    seen: list[object] = []

    def configure(builder: MedTechApiBuilder, user: PoolUser) -> None:
        seen.extend([type(builder), user.user_id])
        builder.with_key_storage(service.key_storage)

    def start(api: MedTechApi) -> None:
        seen.extend([type(api), threading.get_ident() != threading.main_thread().ident])
        api.init_user_crypto()

    configured_pool = ApiPool(service.builder, configure=configure, start=start)
    with configured_pool as pool, pool.use(session) as api:
        assert api.data_owner_id() == session.data_owner_id
    assert seen == [MedTechApiBuilder, session.user_id, MedTechApi, True]


def test_a_session_ends_with_its_token(service: Service) -> None:
    session_id = service.sign_in()
    session = service.sessions.get(session_id)
    assert session is not None
    with ApiPool(service.builder) as pool:
        result = service.sessions.sign_out(session_id, pool)
        assert result is not None
        assert result.token_revoked
        assert service.sessions.get(session_id) is None
        with pytest.raises(icure_async.errors.AuthenticationError), pool.use(session):
            pass


def test_a_block_that_is_left_with_an_error_gives_the_api_back(service: Service) -> None:
    session = service.sessions.get(service.sign_in())
    assert session is not None
    with ApiPool(service.builder) as pool:
        with pytest.raises(ZeroDivisionError), pool.use(session):
            raise ZeroDivisionError
        assert pool.statistics.in_use == 0
        assert pool.statistics.idle == 1


def test_closing_inside_of_a_use_is_refused_and_changes_nothing(service: Service) -> None:
    session = service.sessions.get(service.sign_in())
    assert session is not None
    with ApiPool(service.builder) as pool, ThreadPoolExecutor(1) as another:
        with pool.use(session) as api:
            with pytest.raises(ConfigurationError, match="would wait for the block of use"):
                pool.close()
            assert api.user_api.get_logged_user().id == session.user_id
            # Another thread may: it waits until this one has left the block.
            closing = another.submit(pool.close)
            while not is_closed(pool):
                time.sleep(0.001)
            assert api.user_api.get_logged_user().id == session.user_id
            assert not closing.done()
        closing.result()
        assert pool.statistics.open == 0


def is_closed(pool: ApiPool) -> bool:
    try:
        with pool.use(UserCredentials(user_id="nobody", login="nobody", token="-")):
            return False
    except PoolClosedError:
        return True
    except AuthenticationError:
        return False


def test_an_expired_token_is_refused(service: Service) -> None:
    session = service.sessions.get(service.sign_in())
    assert session is not None
    expired = icure_async.services.UserCredentials(
        user_id=session.user_id, login=session.login, token=session.token, token_expires_at=1
    )
    with ApiPool(service.builder) as pool, pytest.raises(TokenExpiredError), pool.use(expired):
        pass


def test_a_builder_of_the_other_package_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs a MedTechApiBuilder"):
        ApiPool("builder")  # type: ignore[arg-type]


def test_a_store_takes_a_plain_storage_and_an_async_one(service: Service) -> None:
    for storage in (MemoryStorage(), AsyncMemoryStorage()):
        assert SessionStore(storage).list_sessions("nobody") == []
