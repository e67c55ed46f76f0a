from __future__ import annotations

from collections.abc import Callable
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
        ("http://localhost:16043", "http://localhost:16043/rest/v1"),
        ("http://10.0.0.1:65535", "http://10.0.0.1:65535/rest/v1"),
        ("http://UPPER-host.Example", "http://upper-host.example/rest/v1"),
        ("HTTPS://host", "https://host/rest/v1"),
        ("http://icure_backend:16043", "http://icure_backend:16043/rest/v1"),
        ("http://[::1]:8080", "http://[::1]:8080/rest/v1"),
        ("https://[2001:db8::7]/rest/v1", "https://[2001:db8::7]/rest/v1"),
        ("https://kraken.icure.cloud/rest/v2/", "https://kraken.icure.cloud/rest/v1"),
        ("https://host/icure", "https://host/icure/rest/v1"),
        ("https://host/icure/", "https://host/icure/rest/v1"),
        ("https://host/api/rest/v1", "https://host/api/rest/v1"),
        ("https://host/api/rest/v1//", "https://host/api/rest/v1"),
        ("https://host//", "https://host/rest/v1"),
        ("https://host:", "https://host/rest/v1"),
        ("https://bücher.example", "https://xn--bcher-kva.example/rest/v1"),
        ("https://host/bücher", "https://host/b%C3%BCcher/rest/v1"),
    ],
)
def test_base_urls_are_normalised(given_url: str, expected: str) -> None:
    assert normalise_base_url(given_url, "with_icure_base_url") == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "kraken.icure.cloud",
        "ftp://kraken.icure.cloud",
        "https://",
        "https:///rest/v1",
        "https://ned:secret@host",
        "https://@host",
        "https://host?",
        "https://host#",
        "https://host:0",
        "https://host:80:90",
        "https://ho st",
        "https://ho\nst",
        "https://ho\\st",
        "https://ho%41st",
        "https://ho<st>",
        "https://[::1",
        "https://\udc80",
        "https://host/\udc80",
        "https://\u202ehost",
        "https://host?jwt=secret",
        "https://host#part",
        "https://host:65536",
        "https://host:99999/rest/v1",
        "https://host:123456",
        "https://host\n",
        "https://host/rest/v1\n",
        " https://host",
        None,
        b"https://host",
        42,
    ],
)
def test_other_base_urls_are_refused(url: object) -> None:
    with pytest.raises(ConfigurationError, match=r"with_icure_base_url\(\)") as caught:
        normalise_base_url(url, "with_icure_base_url")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("version", ["v0", "v3", "v3/", "v10"])
def test_another_version_of_the_protocol_is_refused_as_such(version: str) -> None:
    with pytest.raises(ConfigurationError, match="speaks versions 1 and 2 of the protocol only"):
        normalise_base_url(f"https://host/api/rest/{version}", "with_icure_base_url")


@pytest.mark.parametrize("normalise", [normalise_base_url, normalise_gateway_url])
@pytest.mark.parametrize("url", ["https://host\n", " https://host", "https://host/a\r\n", "\t"])
def test_a_blank_around_a_url_is_said_to_be_the_trouble(
    normalise: Callable[[object, str], str], url: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"with_x\(\) begins or ends with a blank"):
        normalise(url, "with_x")


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("HTTP://Host", "http://host"),
        ("http://[::1]:35269", "http://[::1]:35269"),
        ("http://msg_gw:8080/x", "http://msg_gw:8080/x"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
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
        "https://ned:secret@host",
        "https://host/?key=secret",
        "https://host/#part",
        "https://host:65536/msggtw",
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
