"""The JSON Web Tokens of a session: RS256, one pair per login (§3.5)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Literal

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async.sandbox import chance
from icure_async.sandbox.errors import unauthorized
from icure_async.sandbox.shapes import is_object

if TYPE_CHECKING:
    from icure_async.sandbox.calls import Caller
    from icure_async.sandbox.clock import Clock
    from icure_async.sandbox.store import Json

__all__ = ["TokenSigner", "generate_signing_key"]

_CLOCK_SKEW = 10
# Inside ASCII JSON only these characters can become '-' or '_' in base64url, which the decoder of
# official clients refuses. They occur in strings alone, where an escape says the same.
_ESCAPES = {character: f"\\u{ord(character):04x}" for character in ">?~\x7f"}


def generate_signing_key() -> str:
    """Return a new private key to sign with, as JSON that `TokenSigner` takes."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")
    return orjson.dumps({"kid": str(uuid.uuid4()), "pem": pem}).decode("ascii")


class TokenSigner:
    """Issues and verifies access and refresh tokens.

    Attributes:
        public_key: what the tokens can be verified with, as SPKI in hex.

    Raises:
        ImportError: if the optional dependency joserfc is missing.
    """

    def __init__(
        self, signing_key: str, clock: Clock, *, access_validity: float, refresh_validity: float
    ) -> None:
        try:
            from joserfc import jws
            from joserfc.errors import JoseError
            from joserfc.jwk import RSAKey
        except ImportError as error:
            raise ImportError(
                "The sandbox signs its tokens with joserfc: pip install 'icure-async[sandbox]'"
            ) from error
        self._jws = jws
        self._errors = (JoseError, ValueError)
        stored: Json = orjson.loads(signing_key)
        self._kid: str = stored["kid"]
        # The sandbox made this key itself: checking its primes again would take most of a start.
        key = serialization.load_pem_private_key(
            stored["pem"].encode("ascii"), password=None, unsafe_skip_rsa_key_validation=True
        )
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError("The signing key must be an RSA key")
        self._key = RSAKey(key, key)
        self.public_key: str = (
            key.public_key()
            .public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .hex()
        )
        self._clock = clock
        self._access_validity = int(access_validity)
        self._refresh_validity = int(refresh_validity)

    def access_token(self, caller: Caller, duration: int | None = None) -> str:
        """Return a token for ``Authorization: Bearer``; ``duration`` may only shorten it."""
        return self._sign(self._access_claims(caller), self._lifetime(duration))

    def refresh_token(self, caller: Caller, duration: int | None = None) -> str:
        """Return a token that buys access tokens of ``duration`` seconds."""
        claims = {
            "u": caller.user_id,
            **_session_claims(caller),
            "jwtD": self._lifetime(duration),
        }
        return self._sign(claims, self._refresh_validity)

    def verify(self, token: str, kind: Literal["access", "refresh"]) -> Json:
        """Return the claims of a token of this kind.

        Raises:
            ApiError: 401 if it is forged, expired, of the other kind or no token at all.
        """
        try:
            signed = self._jws.deserialize_compact(token, self._key, algorithms=["RS256"])
            claims = orjson.loads(signed.payload)
        except self._errors:
            raise unauthorized("Invalid JWT") from None
        if (
            not is_object(claims)
            or not isinstance(claims.get("u"), str)
            or not isinstance(claims.get("exp"), int)
            or ("jwtD" in claims) != (kind == "refresh")
        ):
            raise unauthorized("Invalid JWT")
        if self._clock.now() > claims["exp"] + _CLOCK_SKEW:
            raise unauthorized("Expired JWT")
        return claims

    def _lifetime(self, duration: int | None) -> int:
        if duration is None or duration <= 0:
            return self._access_validity
        return min(duration, self._access_validity)

    def _access_claims(self, caller: Caller) -> dict[str, Any]:
        authorities = ["ROLE_USER"]
        if caller.is_hcp:
            authorities.append("ROLE_HCP")
        if caller.is_admin:
            authorities.append("ROLE_ADMINISTRATOR")
        return {
            "u": caller.user_id,
            **({"doId": caller.owner_id, "doTp": caller.owner_type} if caller.owner_id else {}),
            "hh": list(reversed(caller.ancestors)),
            "a": authorities,
            **_session_claims(caller),
        }

    def _sign(self, claims: Json, validity: int) -> str:
        payload = _portable_json({**claims, "exp": int(self._clock.now()) + validity})
        header = {"alg": "RS256", "typ": "JWT", "kid": self._kid}
        return self._jws.serialize_compact(header, payload, self._key)


def _session_claims(caller: Caller) -> Json:
    return {
        "g": caller.group_id,
        "m": [list(match) for match in caller.matches],
        "tac": caller.level,
        "jti": chance.new_id(),
    }


def _portable_json(claims: Json) -> bytes:
    text = orjson.dumps(claims).decode()
    text = "".join(_ESCAPES.get(c, c) if c.isascii() else _utf16_escape(c) for c in text)
    # Blanks to a multiple of three bytes: the encoding then has no padding that could be missed.
    return (text + " " * (-len(text) % 3)).encode("ascii")


def _utf16_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
