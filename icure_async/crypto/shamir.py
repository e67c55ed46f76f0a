"""Shamir's secret sharing, as the reference splits a private key among notaries.

Every byte of ``01 ‖ PKCS#8`` is shared by itself, with a polynomial over GF(2^8) (primitive
polynomial 0x11d). A share is the text ``8``, two hex digits of x, and the values in hex
(cryptography.md §12). That is an odd number of digits, and the reference, which makes bytes of them
two by two, drops the last one: what it has stored it cannot put together again. Three forms in
bytes are read here:

* ``8xx0…``: what is written here. The digit 0 before the values makes the number even. To the
  reference it is four bits more at the far end: zero in every share, hence zero in the result, of
  which it drops everything up to the first 1. So it reads these shares as they are.
* ``8xx…`` without the last digit: what the reference writes. Only the last byte of the PKCS#8 is
  lost. It belongs to the number ``qi``, which follows from the primes.
* ``f8xx…``: what later generations of iCure's SDKs write.

A share of the second form whose values begin with the digit 0 looks like the first. The lengths
can't tell, as that of a PKCS#8 varies; the combined bytes do: ``01``, and then a DER that is
exactly as long as its header says, come out for the right form only.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import attrs

from icure_async.crypto.rsa_der import key_pair_of
from icure_async.errors import CryptoError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric import rsa

    from icure_async.models.key_pair import KeyPair

__all__ = ["MAX_SHARES", "combine", "looks_like_share", "random_length", "split"]

MAX_SHARES: Final = 255
"""As many as GF(2^8) has places for."""

_POLYNOMIAL: Final = 0x11D
_FIELD: Final = 256
_ORDER: Final = _FIELD - 1
_BITS_DIGIT: Final = "8"
_LATER_DIGIT: Final = "f"
_MARKER: Final = b"\x01"
_MIN_SHARE_BYTES: Final = 4
_DER_SEQUENCE: Final = b"\x30\x82"
_DER_HEADER_BYTES: Final = 4


def random_length(secret: bytes, *, threshold: int) -> int:
    """Return how many random bytes :func:`split` needs to split the secret."""
    return (threshold - 1) * len(_MARKER + secret)


def split(secret: bytes, *, count: int, threshold: int, random: bytes) -> list[bytes]:
    """Split a private key into shares.

    For one notary the share is the PKCS#8 itself. The work grows with ``count`` times
    ``threshold``, up to a third of a second: call this in a worker thread.

    Args:
        secret: PKCS#8 DER of the private key.
        count: how many shares to make, 1 to 255.
        threshold: how many of them make up the key, 1 to ``count``.
        random: :func:`random_length` bytes of a cryptographically secure generator.

    Returns:
        The shares for x = 1, 2, …

    Raises:
        ValidationError: the numbers make no sense, or the secret is no PKCS#8.
    """
    if not 1 <= count <= MAX_SHARES:
        raise ValidationError(f"A key is split into 1 to {MAX_SHARES} shares, not {count}.")
    if not 1 <= threshold <= count:
        raise ValidationError(
            f"The threshold must be between 1 and the number of shares ({count}), not {threshold}."
        )
    if not _is_whole_der(secret):
        raise ValidationError("Only the PKCS#8 of a private key can be split.")
    if count == 1:
        return [secret]
    marked = _MARKER + secret
    if len(random) != random_length(secret, threshold=threshold):
        raise ValidationError("The source of random bytes did not give as many as were asked for.")
    size = len(marked)
    coefficients = [random[start : start + size] for start in range(0, len(random), size)]
    return [_written(x, _evaluate([marked, *coefficients], x)) for x in range(1, count + 1)]


def looks_like_share(data: bytes) -> bool:
    """Return whether the bytes can be a share, before it is known what they are a share of.

    With a wrong key, AES-CBC gives anything at all about once in 256 times.
    """
    return _is_whole_der(data) or any(True for _ in _readings(data))


def combine(shares: Sequence[bytes], public_keys: Collection[str]) -> KeyPair:
    """Return the key pair that the shares make up.

    The work takes milliseconds: call this in a worker thread.

    Args:
        shares: as many as the threshold of the split, or more of the same split.
        public_keys: SPKI hex of the key pairs it may be.

    Raises:
        CryptoError: there are too few shares, one is damaged, is there twice or belongs to another
            split, or they make up a key pair that is none of these.
    """
    for pkcs8, is_whole in _combinations(shares):
        key_pair = _key_pair(pkcs8, is_whole=is_whole)
        if key_pair is not None and key_pair.public_key in {key.lower() for key in public_keys}:
            return key_pair
    raise CryptoError(
        f"The shares given ({len(shares)}) make up none of the expected key pairs: they are too "
        "few, one is there twice or is damaged, or they are not all of one split."
    )


@attrs.frozen(eq=False, repr=False)
class _Reading:
    """One way to read a share."""

    form: str
    x: int
    values: bytes


def _combinations(shares: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each PKCS#8 the shares may make up, and whether its last byte is right."""
    if len(shares) == 1 and _is_whole_der(shares[0]):
        yield shares[0], True
        return
    readings = [{reading.form: reading for reading in _readings(share)} for share in shares]
    for form in ("later", "written", "lossy"):
        read = [by_form[form] for by_form in readings if form in by_form]
        places = {reading.x for reading in read}
        if len(read) < len(shares) or len(places) < len(read):
            continue
        if len({len(reading.values) for reading in read}) != 1:
            continue
        marked = _interpolate([(reading.x, reading.values) for reading in read])
        # A lossy reading has the right length, its last byte being anything.
        if marked.startswith(_MARKER) and _is_whole_der(marked[len(_MARKER) :]):
            yield marked[len(_MARKER) :], form != "lossy"


def _readings(share: bytes) -> Iterator[_Reading]:
    """Yield the reading of a share in each of the forms that it may have."""
    if len(share) < _MIN_SHARE_BYTES:
        return
    text = share.hex()
    if text.startswith(_LATER_DIGIT + _BITS_DIGIT):
        form, text = "later", text[1:]
        forms = [(form, text[3:])]
    elif text.startswith(_BITS_DIGIT):
        forms = [("written", text[4:])] if text[3] == "0" else []
        forms.append(("lossy", text[3:] + "0"))
    else:
        return
    x = int(text[1:3], 16)
    if x:
        for form, values in forms:
            yield _Reading(form, x, bytes.fromhex(values))


def _written(x: int, values: bytes) -> bytes:
    return bytes.fromhex(f"{_BITS_DIGIT}{x:02x}0{values.hex()}")


def _is_whole_der(data: bytes) -> bool:
    """Return whether the data is one DER sequence, of the size of a private key."""
    return data.startswith(_DER_SEQUENCE) and len(data) - _DER_HEADER_BYTES == int.from_bytes(
        data[len(_DER_SEQUENCE) : _DER_HEADER_BYTES]
    )


def _key_pair(pkcs8: bytes, *, is_whole: bool) -> KeyPair | None:
    """Return the key pair of a private key, in canonical DER, or None where it is damaged."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        loaded = serialization.load_der_private_key(
            pkcs8, password=None, unsafe_skip_rsa_key_validation=True
        )
        if not isinstance(loaded, rsa.RSAPrivateKey):
            return None
        numbers = loaded.private_numbers()
        if not is_whole:
            numbers = _with_coefficient(numbers)
        # Validated in full: this is the key that a data owner will work with from now on.
        private_key = numbers.private_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key_pair_of(private_key)


def _with_coefficient(numbers: rsa.RSAPrivateNumbers) -> rsa.RSAPrivateNumbers:
    """Return the numbers with the last one, ``qi``, made from the primes."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=numbers.d,
        dmp1=numbers.dmp1,
        dmq1=numbers.dmq1,
        iqmp=rsa.rsa_crt_iqmp(numbers.p, numbers.q),
        public_numbers=numbers.public_numbers,
    )


def _evaluate(coefficients: Sequence[bytes], x: int) -> bytes:
    """Return the values at ``x`` of one polynomial per byte, the constant coefficients first."""
    table = _multiplication(x)
    values = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        values = _add(values.translate(table), coefficient)
    return values


def _interpolate(points: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the values at 0 of the polynomials through the points (Lagrange)."""
    exponents, logarithms = _tables()
    total = bytes(len(points[0][1]))
    for x, values in points:
        # The product of x' / (x - x') over all other points; minus is exclusive or.
        exponent = sum(
            logarithms[other] - logarithms[x ^ other] for other, _ in points if other != x
        )
        total = _add(total, values.translate(_multiplication(exponents[exponent % _ORDER])))
    return total


def _add(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))


@functools.cache
def _tables() -> tuple[bytes, bytes]:
    """Return the powers of the generator 2, and the logarithm of everything but 0."""
    exponents, logarithms = bytearray(_ORDER), bytearray(_FIELD)
    value = 1
    for exponent in range(_ORDER):
        exponents[exponent] = value
        logarithms[value] = exponent
        value <<= 1
        if value >= _FIELD:
            value ^= _POLYNOMIAL
    return bytes(exponents), bytes(logarithms)


@functools.cache
def _multiplication(factor: int) -> bytes:
    """Return the product of each byte with a factor: a table for ``bytes.translate``."""
    exponents, logarithms = _tables()
    return bytes(
        exponents[(logarithms[factor] + logarithms[value]) % _ORDER] if value else 0
        for value in range(_FIELD)
    )
