"""The API of the user who is logged in, as the commands of one profile see it."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import attrs

from icure_async import environment
from icure_async.cli.choices import chosen
from icure_async.cli.folders import key_storage, state_of
from icure_async.cli.logins import read_login
from icure_async.cli.output import note
from icure_async.errors import ConfigurationError, KeyPairNotFoundError
from icure_async.rest.urls import normalise_base_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from icure_async.builders import MedTechApiBuilder
    from icure_async.cli.choices import Choices
    from icure_async.cli.folders import DiskKeyStorage
    from icure_async.medtech import MedTechApi
    from icure_async.models.flavour import Flavour

__all__ = [
    "Credentials",
    "Opening",
    "builder_for",
    "credentials_of",
    "needed_credentials",
    "opening",
]


@attrs.frozen
class Credentials:
    """A user of a backend.

    Attributes:
        url: of the backend.
        user_name: logs in.
        password: or token. Never in a repr.
        is_kept: whether it is the login that is kept on this device.
        flavour: in which the user works; None for the usual one.
    """

    url: str
    user_name: str
    password: str = attrs.field(repr=False)
    is_kept: bool
    flavour: Flavour | None


def credentials_of(choices: Choices) -> Credentials | None:
    """Return those of the environment, else those of the profile's login; None for neither.

    Raises:
        ConfigurationError: the login that is kept is one at another backend, or of the other
            flavour.
        StorageError: the login cannot be read.
    """
    password = os.environ.get(environment.PASSWORD, "").strip("\r\n")
    if password:
        return Credentials(
            choices.need("url"), choices.need("user_name"), password, False, choices.flavour
        )
    login = asyncio.run(read_login(choices.profile))
    if login is None:
        return None
    url = choices.get("url")
    if url is not None and normalise_base_url(url, "with_icure_base_url") != login.url:
        raise ConfigurationError(
            f"The profile {choices.profile!r} is logged in at {login.url}, and ICURE_URL or the "
            f"profile names {url}: log in there with 'icure login', or name another profile."
        )
    if choices.flavour not in (None, login.flavour):
        raise ConfigurationError(
            f"The profile {choices.profile!r} is logged in in the flavour {login.flavour}, and "
            f"ICURE_FLAVOUR or the profile names {choices.flavour}: log in with 'icure login "
            f"--flavour {choices.flavour}', or name another profile."
        )
    return Credentials(login.url, login.user_name, login.token, True, login.flavour)


def needed_credentials(choices: Choices) -> Credentials:
    """Return the credentials.

    Raises:
        ConfigurationError: nobody is logged in.
    """
    credentials = credentials_of(choices)
    if credentials is None:
        raise ConfigurationError(
            f"Nobody is logged in with the profile {choices.profile!r}: run 'icure login' or "
            f"'icure register', or set {environment.LOGIN} and {environment.PASSWORD}."
        )
    return credentials


def builder_for(
    choices: Choices, credentials: Credentials, keys: DiskKeyStorage
) -> MedTechApiBuilder:
    """Return a builder with the key pairs and the state of this device."""
    return (
        choices.builder(credentials.url, credentials.flavour)
        .with_user_name(credentials.user_name)
        .with_password(credentials.password)
        .with_key_storage(keys)
        .with_storage(state_of(keys))
    )


@attrs.frozen
class Opening:
    """A user's API about to be built: nothing is left to ask the person.

    Attributes:
        builder: with all that it needs.
        flavour: in which the user works; None for the usual one.
    """

    builder: MedTechApiBuilder
    flavour: Flavour | None

    @asynccontextmanager
    async def api(
        self, *, with_keys: bool = True, shows_access: bool = False
    ) -> AsyncGenerator[MedTechApi, None]:
        """Yield the API, and show its warnings in the end.

        Args:
            with_keys: whether records are read or written.
            shows_access: whether the backend looks at records for this user.
        """
        async with self.builder.build() as api:
            if with_keys:
                await api.init_user_crypto()
            elif self.flavour == "cardinal" and shows_access:
                # Records do not name a patient of today: its keys show that it has access.
                with suppress(KeyPairNotFoundError):
                    await api.init_user_crypto()
            try:
                yield api
            finally:
                for warning in api.warnings:
                    note(f"Warning: {warning}", style="yellow")


def opening(profile: str | None) -> Opening:
    """Return what opens the API of the user who is logged in.

    Raises:
        ConfigurationError: nobody is.
    """
    choices = chosen(profile)
    credentials = needed_credentials(choices)
    builder = builder_for(choices, credentials, key_storage(choices.folder))
    return Opening(builder, credentials.flavour)
