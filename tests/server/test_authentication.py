"""The sender of a request as the journal keeps it."""

from emulator.server.authentication import describe_sender, read_credentials


def test_senders_are_identified_by_token_key_and_host() -> None:
    """Other headers have no effect, and the token itself is not kept."""

    def send(*headers: tuple[bytes, bytes], query: bytes = b"") -> tuple[object, object]:
        credentials = read_credentials(dict(headers), query)
        return credentials, describe_sender(credentials, b"key")

    one, two = (b"authorization", b"Bearer one"), (b"authorization", b"Bearer two")
    assert send(one) == send(one, (b"x-request-id", b"1")) != send(two)
    assert send(one)[1] != send(one, (b"host", b"other"))[1]
    assert send(one)[0] != send(one, (b"x-goog-api-key", b"k"))[0]
    assert send(one)[0] != send(one, query=b"key=k")[0]
    assert "one" not in repr(send(one)[1])


def test_api_keys_are_known_whatever_space_surrounds_them() -> None:
    """A key is no token, however the header is spaced."""
    for written in (b"Bearer AIzaSyD0123456789", b"Bearer   AIzaSyD0123456789", b" bearer sk-proj-1 "):
        credentials = read_credentials({b"authorization": written}, b"")
        assert credentials.is_api_key, written
    assert not read_credentials({b"authorization": b"Bearer  ya29.token"}, b"").is_api_key
