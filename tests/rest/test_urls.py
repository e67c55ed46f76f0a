from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.errors import ConfigurationError, ValidationError
from icure_async.rest.urls import normalise_base_url, normalise_gateway_url, path


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("https://kraken.icure.cloud", "https://kraken.icure.cloud/rest/v1"),
        ("https://kraken.icure.cloud/", "https://kraken.icure.cloud/rest/v1"),
        ("https://kraken.icure.cloud/rest/v1", "https://kraken.icure.cloud/rest/v1"),
        ("https://kraken.icure.cloud/rest/v1/", "https://kraken.icure.cloud/rest/v1"),
        ("https://kraken.icure.cloud/rest/v2", "https://kraken.icure.cloud/rest/v2"),
        ("http://localhost:16043", "http://localhost:16043/rest/v1"),
        ("http://localhost:16043/rest/v2/", "http://localhost:16043/rest/v2"),
        ("http://10.0.0.1:65535", "http://10.0.0.1:65535/rest/v1"),
        ("http://UPPER-host.Example", "http://UPPER-host.Example/rest/v1"),
    ],
)
def test_base_urls_are_normalised(given_url: str, expected: str) -> None:
    assert normalise_base_url(given_url, "with_icure_base_url") == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "kraken.icure.cloud",
        "HTTPS://kraken.icure.cloud",
        "ftp://kraken.icure.cloud",
        "https://",
        "https:///rest/v1",
        "https://my_host.cloud",
        "https://host//",
        "https://host/rest/v1//",
        "https://host/rest/v3",
        "https://host/other",
        "https://ned:secret@host",
        "https://host?jwt=secret",
        "https://host#part",
        "https://host:",
        "https://host:65536",
        "https://host:99999/rest/v1",
        "https://host:123456",
        "https://host:٨٠",
        "https://höst",
        "https://host\n",
        "https://host/rest/v1\n",
        " https://host",
        "https://[::1]:80",
        None,
        b"https://host",
        42,
    ],
)
def test_other_base_urls_are_refused(url: object) -> None:
    with pytest.raises(ConfigurationError, match=r"with_icure_base_url\(\)") as caught:
        normalise_base_url(url, "with_icure_base_url")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("https://msg-gw.icure.cloud", "https://msg-gw.icure.cloud"),
        ("https://msg-gw.icure.cloud/", "https://msg-gw.icure.cloud"),
        ("http://localhost:8080/msggtw/", "http://localhost:8080/msggtw"),
        ("http://localhost/a/b-c_d.e~f", "http://localhost/a/b-c_d.e~f"),
    ],
)
def test_gateway_urls_lose_their_trailing_slash(given_url: str, expected: str) -> None:
    assert normalise_gateway_url(given_url, "with_msg_gw_url") == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "msg-gw.icure.cloud",
        "HTTP://host",
        "https://ned:secret@host",
        "https://host/?key=secret",
        "https://host/#part",
        "https://host:65536/msggtw",
        "https://host/ü",
        "https://host\n",
        None,
    ],
)
def test_other_gateway_urls_are_refused(url: object) -> None:
    with pytest.raises(ConfigurationError, match=r"with_msg_gw_url\(\)") as caught:
        normalise_gateway_url(url, "with_msg_gw_url")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("segment", "escaped"),
    [
        ("h1@x.be", "h1%40x.be"),
        ("A|B|1", "A%7CB%7C1"),
        ("a b+c/d?e#f%g", "a%20b%2Bc%2Fd%3Fe%23f%25g"),
        ("-_.!~*'()", "-_.!~*'()"),
        ("é€😀", "%C3%A9%E2%82%AC%F0%9F%98%80"),
        (";tokenid=1", "%3Btokenid%3D1"),
        ("...", "..."),
    ],
)
def test_segments_are_escaped_like_encode_uri_component(segment: str, escaped: str) -> None:
    assert path("user", segment) == f"/user/{escaped}"


@given(st.lists(st.text(min_size=1).filter(lambda s: s not in {".", ".."}), min_size=1))
def test_decoding_a_path_gives_back_its_segments(segments: list[str]) -> None:
    escaped = path(*segments)

    assert escaped.isascii()
    assert [unquote(part) for part in escaped.split("/")] == ["", *segments]


@pytest.mark.parametrize("segment", ["", ".", "..", "\ud800", "4711-\udfff"])
def test_a_segment_that_would_lead_elsewhere_is_refused(segment: str) -> None:
    with pytest.raises(ValidationError, match="Nothing was sent") as caught:
        path("patient", segment)
    assert caught.value.__context__ is None
