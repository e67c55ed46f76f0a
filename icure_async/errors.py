"""Every error the SDK raises, in one hierarchy.

All of them derive from :class:`ICureError`, and each message says what to do next. No message holds
a validation code, a token, a key, a password or the content of a medical record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.authentication.process import AuthenticationProcess

__all__ = [
    "AuthenticationError",
    "AuthenticationProcessError",
    "BackendError",
    "BackupError",
    "BadRequestError",
    "BatchError",
    "CaptchaRefusedError",
    "CodeExpiredError",
    "ConfigurationError",
    "ConflictError",
    "CryptoError",
    "DecryptionError",
    "ElevationRequiredError",
    "ICureError",
    "InvalidCodeError",
    "InvalidResponseError",
    "KeyPairNotFoundError",
    "NetworkError",
    "NotFoundError",
    "PermissionDeniedError",
    "PoolBusyError",
    "PoolClosedError",
    "ProcessStateError",
    "RequestTimeoutError",
    "ResponseTooLargeError",
    "SecondFactorRefusedError",
    "SecondFactorRequiredError",
    "ServerError",
    "StorageError",
    "TokenExpiredError",
    "TooManyAttemptsError",
    "TooManyRequestsError",
    "UnknownNameError",
    "UnknownProcessError",
    "UserExistsError",
    "ValidationError",
    "WeakPasswordError",
    "WrongArgumentsError",
]


class ICureError(Exception):
    """Base of everything the SDK raises on purpose.

    Example:
        >>> from icure_async.errors import ICureError
        >>> try:
        ...     await api.patient_api.get_patient("no-such-patient")
        ... except ICureError as error:
        ...     print(type(error).__name__)
        NotFoundError
    """


class ConfigurationError(ICureError):
    """An option of a builder is missing or malformed; the message names the method to call.

    Example:
        >>> MedTechApiBuilder().build()
        Traceback (most recent call last):
        ConfigurationError: ...
    """


class ValidationError(ICureError):
    """An argument is malformed. Nothing was sent.

    Example:
        >>> await api.patient_api.get_patient("")
        Traceback (most recent call last):
        ValidationError: ...
    """


class WrongArgumentsError(ICureError, TypeError):
    """A method was called with arguments that it does not have. Nothing was sent.

    Example:
        >>> await anonymous_api.authentication_api.start_authentication(captcha, "+32470123456")
        Traceback (most recent call last):
        WrongArgumentsError: ...
    """


class UnknownNameError(ICureError, AttributeError):
    """An object has no attribute of this name; the message says which one may be meant.

    Example:
        >>> patient.firstName
        Traceback (most recent call last):
        UnknownNameError: ...
    """


class StorageError(ICureError):
    """A key or a state could not be read from, or written to, the storage.

    Example:
        >>> (folder / "file").write_text("in the way") > 0
        True
        >>> await FileStorage(folder / "file").set_item("name", "value")
        Traceback (most recent call last):
        StorageError: ...
    """


class PoolBusyError(ICureError):
    """All API objects of a pool are in use, and none became free in time. Nothing was sent."""


class PoolClosedError(ICureError):
    """A pool of API objects is closed: the service shuts down. Nothing was sent."""


class BackupError(ICureError):
    """A backup of key pairs cannot be made, or cannot be used. Nothing was written.

    Example:
        >>> backup = await api.export_keys("correct horse battery staple")
        >>> await api.import_keys(backup, "some other four words")
        Traceback (most recent call last):
        BackupError: ...
    """


class CryptoError(ICureError):
    """The keys on this device do not allow what was asked.

    Example:
        >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password(token)
        >>> async with builder.build() as api:
        ...     await api.data_owner_api.create_recovery_key()  # without init_user_crypto()
        Traceback (most recent call last):
        CryptoError: ...
    """


class KeyPairNotFoundError(CryptoError):
    """The data owner has published keys, and none of their private halves is on this device.

    Attributes:
        data_owner_id: whose keys are missing.
        fingerprints: fingerprints (32 hex characters each) of the published keys.

    Example:
        >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password(token)
        >>> async with builder.build() as api:
        ...     await api.init_user_crypto()  # on a device without the key
        Traceback (most recent call last):
        KeyPairNotFoundError: ...
    """

    def __init__(
        self, message: str, *, data_owner_id: str = "", fingerprints: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.data_owner_id = data_owner_id
        self.fingerprints: tuple[str, ...] = tuple(fingerprints)


class DecryptionError(CryptoError):
    """An entity cannot be decrypted with the keys on this device. Its content is left as it is.

    Attributes:
        entity_type: the kind of entity, for example ``"patient"``.
        entity_ids: ids of the entities that cannot be decrypted.

    Example:
        >>> await colleague_api.patient_api.get_patient(patient.id)
        Traceback (most recent call last):
        DecryptionError: ...
    """

    # Defaults, here and above: an error that is unpickled gets its members afterwards.
    def __init__(
        self, message: str, *, entity_type: str = "", entity_ids: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.entity_type = entity_type
        self.entity_ids: tuple[str, ...] = tuple(entity_ids)


class BatchError(ICureError):
    """Some of many records were not saved.

    Attributes:
        errors: the error of each of them, in their order.

    Example:
        >>> result = await api.patient_api.create_patients([Patient()])
        >>> result.raise_for_failures()
        Traceback (most recent call last):
        BatchError: ...
    """

    def __init__(self, message: str, *, errors: Sequence[ICureError] = ()) -> None:
        super().__init__(message)
        self.errors: tuple[ICureError, ...] = tuple(errors)


class NetworkError(ICureError):
    """The request got no answer: no connection, or it broke. Trying again later may help.

    Attributes:
        maybe_processed: whether the server may have carried the request out all the same.

    Example:
        >>> builder = MedTechApiBuilder().with_icure_base_url("http://127.0.0.1:9")
        >>> async with builder.with_user_name(login).with_password(token).build() as api:
        ...     await api.identify()
        Traceback (most recent call last):
        NetworkError: ...
    """

    def __init__(self, message: str, *, maybe_processed: bool = True) -> None:
        super().__init__(message)
        self.maybe_processed = maybe_processed


class RequestTimeoutError(NetworkError):
    """No complete answer within the time limit (see ``with_timeout`` of the builders)."""


class BackendError(ICureError):
    """The iCure backend or the message gateway answered with an error.

    Attributes:
        status: HTTP status, or None where the error is not about one response.
        request_id: the ``X-Request-Id`` header of the response, for iCure's support.
        retryable: whether the same call may succeed later.
        retry_after: seconds the server asks to wait, or None.
        server_message: what the server said, or None. It is kept out of ``str(error)`` because a
            server may repeat what it was sent: think before logging it.

    Example:
        >>> from icure_async.errors import BackendError
        >>> try:
        ...     await api.patient_api.get_patient("no-such-patient")
        ... except BackendError as error:
        ...     print(error.status, error.retryable)
        404 False
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        server_message: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.retryable = retryable
        self.retry_after = retry_after
        self.server_message = server_message


class BadRequestError(BackendError):
    """The server refuses the request as malformed (400, 406, 412, 422 and their like)."""


class UserExistsError(BadRequestError):
    """Another user has this login, email address or phone number. Nothing was changed.

    Attributes:
        member: the attribute of the user that is taken: ``"login"``, ``"email"`` or
            ``"mobile_phone"``; None where the backend does not say.

    Example:
        >>> await api.user_api.create_or_modify_user(User(login=user.login))
        Traceback (most recent call last):
        UserExistsError: ...
    """

    def __init__(
        self,
        message: str,
        *,
        member: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        server_message: str | None = None,
    ) -> None:
        super().__init__(
            message,
            status=status,
            request_id=request_id,
            retryable=retryable,
            retry_after=retry_after,
            server_message=server_message,
        )
        self.member = member


class WeakPasswordError(BadRequestError):
    """The backend finds a new password too short. Nothing was changed."""


class PermissionDeniedError(BackendError):
    """The user is known but may not do this (403).

    Example:
        >>> with sandbox.fault(Fault(kind="status", status=403, method="DELETE")):
        ...     await api.patient_api.delete_patient(patient.id)
        Traceback (most recent call last):
        PermissionDeniedError: ...
    """


class NotFoundError(BackendError):
    """The entity does not exist (404).

    Example:
        >>> await api.patient_api.get_patient("no-such-patient")
        Traceback (most recent call last):
        NotFoundError: ...
    """


class ConflictError(BackendError):
    """Somebody else changed the entity first, or the id is in use (409).

    Example:
        >>> first, second = [await api.patient_api.get_patient(patient.id) for _ in range(2)]
        >>> first.note, second.note = "Has a sword", "Has a needle"
        >>> first = await api.patient_api.create_or_modify_patient(first)
        >>> await api.patient_api.create_or_modify_patient(second)
        Traceback (most recent call last):
        ConflictError: ...
    """


class TooManyRequestsError(BackendError):
    """The server asks to slow down (429); see ``retry_after``."""


class ServerError(BackendError):
    """The server failed (5xx).

    Example:
        >>> with sandbox.fault(Fault(kind="status", status=500, method="DELETE")):
        ...     await api.patient_api.delete_patient(patient.id)
        Traceback (most recent call last):
        ServerError: ...
    """


class InvalidResponseError(BackendError):
    """The answer is not what the protocol allows: HTML, truncated JSON, an empty body."""


class ResponseTooLargeError(InvalidResponseError):
    """The answer is larger than allowed (see ``with_max_response_size`` of the builders)."""


class AuthenticationError(BackendError):
    """The credentials are refused, or the session can't be renewed.

    Example:
        >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password("wrong")
        >>> async with builder.build() as api:
        ...     await api.identify()
        Traceback (most recent call last):
        AuthenticationError: ...
    """


class TokenExpiredError(AuthenticationError):
    """The credentials were good once: the token has expired or was revoked. Log in with a new code.

    Where nothing tells this from a wrong password it is an :class:`AuthenticationError`.
    """


class SecondFactorRequiredError(AuthenticationError):
    """The password is right, and the user needs a second factor: ``with_second_factor()``."""


class SecondFactorRefusedError(AuthenticationError):
    """The code of the second factor is wrong, or was used before. Call again with a new one."""


class ElevationRequiredError(AuthenticationError):
    """The backend wants a stronger login for this operation. Nothing was changed.

    Attributes:
        required_level: the authentication class that it wants: 60 for a digital identity, 50 for a
            second factor, 40 for a short-lived token or code, 30 for an external identity provider,
            20 for the password, 10 for a long-lived token.
        current_level: the one of this session's login, where the backend tells it.
    """

    def __init__(
        self,
        message: str,
        *,
        required_level: int = 0,
        current_level: int | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        server_message: str | None = None,
    ) -> None:
        super().__init__(
            message,
            status=status,
            request_id=request_id,
            retryable=retryable,
            retry_after=retry_after,
            server_message=server_message,
        )
        self.required_level = required_level
        self.current_level = current_level


class AuthenticationProcessError(AuthenticationError):
    """An authentication process could not go on.

    Attributes:
        process: the process in the state after the failure, or None when it never started.
    """

    def __init__(
        self,
        message: str,
        *,
        process: AuthenticationProcess | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        server_message: str | None = None,
    ) -> None:
        super().__init__(
            message,
            status=status,
            request_id=request_id,
            retryable=retryable,
            retry_after=retry_after,
            server_message=server_message,
        )
        self.process = process


class InvalidCodeError(AuthenticationProcessError):
    """The validation code is wrong. The same process can be completed with the right one.

    Example:
        >>> wrong = f"{(int(code) + 1) % 1000000:06}"
        >>> await anonymous_api.authentication_api.complete_authentication(process, wrong)
        Traceback (most recent call last):
        InvalidCodeError: ...
    """


class CodeExpiredError(AuthenticationProcessError):
    """The validation code is too old, or was used up. Ask for another with ``resend``."""


class UnknownProcessError(AuthenticationProcessError):
    """The message gateway does not know this process. Start a new one.

    Example:
        >>> await anonymous_api.message_gateway_api.start_process(
        ...     "no-such-process", captcha, phone_number="+32470123456"
        ... )
        Traceback (most recent call last):
        UnknownProcessError: ...
    """


class CaptchaRefusedError(AuthenticationProcessError):
    """The captcha was refused. Let the person solve a new one and start again."""


class TooManyAttemptsError(AuthenticationProcessError):
    """Too many wrong codes: the process is closed. Ask for another code with ``resend``."""


class ProcessStateError(AuthenticationProcessError):
    """The process is in a state in which this step is impossible.

    Example:
        >>> result = await anonymous_api.authentication_api.complete_authentication(process, code)
        >>> await anonymous_api.authentication_api.complete_authentication(result.process, code)
        Traceback (most recent call last):
        ProcessStateError: ...
    """
