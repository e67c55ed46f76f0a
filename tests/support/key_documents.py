"""Documents of key pairs as the reference stores them, made without the code under test."""

from __future__ import annotations

import base64
import json
from typing import Any

from icure_async.models.key_pair import KeyPair
from tests.support.key_material import private_key_of


def number(value: int) -> str:
    data = value.to_bytes(512).lstrip(b"\0")
    return base64.b64encode(data, b"-_").decode().rstrip("=")


def document_of(pair: KeyPair) -> dict[str, dict[str, Any]]:
    """The reference's document, written a second time and without the code under test."""
    numbers = private_key_of(pair).private_numbers()
    n, e = number(numbers.public_numbers.n), number(numbers.public_numbers.e)
    return {
        "publicKey": {"kty": "RSA", "alg": "RSA-OAEP", "ext": True, "n": n, "e": e},
        "privateKey": {
            "kty": "RSA",
            "n": n,
            "e": e,
            "d": number(numbers.d),
            "p": number(numbers.p),
            "q": number(numbers.q),
            "dp": number(numbers.dmp1),
            "dq": number(numbers.dmq1),
            "qi": number(numbers.iqmp),
        },
    }


def compact(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))


def secrets_of(pair: KeyPair) -> list[str]:
    private = document_of(pair)["privateKey"]
    return [pair.private_key[60:100], *(private[name][:20] for name in ("d", "p", "q", "dp"))]
