"""Users: the accounts that log in."""

import attrs

from icure_async.models.base import EntityModel, ValueModel
from icure_async.models.dates import MOMENT, given_moment
from icure_async.models.properties import Property

__all__ = ["AuthenticationToken", "User"]


@attrs.define(kw_only=True, repr=False)
class AuthenticationToken(ValueModel):
    """A token that works as a password (data-model.md §2).

    Attributes:
        token: the token. Backends do not send it back.
        creation_time: when it was made, in epoch milliseconds.
        validity: how long it works, in seconds.
    """

    token: str | None = attrs.field(default=None, metadata={"secret": True})
    creation_time: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    validity: int | None = None


@attrs.define(kw_only=True, repr=False)
class User(EntityModel):
    """A user: an account, linked to the data owner it acts for (data-model.md §4.1).

    Attributes:
        id: id of the user.
        rev: revision; None as long as the user was never saved.
        deletion_date: when the user was deleted, in epoch milliseconds.
        created: when the user was created, in epoch milliseconds.
        name: name to show.
        login: what the user logs in with.
        password_hash: ``*`` where the user has a password. Set it to a new password, which the
            backend hashes; ``*`` and None leave the password as it is.
        secret: secret of the second factor, in base32, for the user's authenticator app.
            Write-only: backends do not send it back.
        use2fa: whether a login with the password needs a code of the second factor.
        group_id: group the user belongs to.
        healthcare_party_id: id of the healthcare professional the user is.
        patient_id: id of the patient the user is.
        device_id: id of the device the user is.
        email: email address.
        mobile_phone: mobile phone number.
        properties: properties set by applications.
        roles: names of the roles of the user.
        sharing_data_with: category of data → ids of the data owners that new data of the category
            are shared with (``autoDelegations`` on the wire). The categories are those of
            ``SharedDataType``; a backend may know more.
        authentication_tokens: name of the application → its token.

    Example:
        >>> User(login="sansa", email="sansa@winterfell.example").to_dict()["email"]
        'sansa@winterfell.example'
    """

    deletion_date: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    created: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    name: str | None = None
    login: str | None = None
    password_hash: str | None = attrs.field(default=None, metadata={"secret": True})
    secret: str | None = attrs.field(default=None, metadata={"secret": True})
    use2fa: bool | None = None
    group_id: str | None = None
    healthcare_party_id: str | None = None
    patient_id: str | None = None
    device_id: str | None = None
    email: str | None = None
    mobile_phone: str | None = None
    properties: list[Property] = attrs.field(factory=list[Property])
    roles: list[str] = attrs.field(factory=list[str])
    sharing_data_with: dict[str, list[str]] = attrs.field(
        factory=dict[str, list[str]], metadata={"wire": "autoDelegations"}
    )
    authentication_tokens: dict[str, AuthenticationToken] = attrs.field(
        factory=dict[str, AuthenticationToken]
    )
