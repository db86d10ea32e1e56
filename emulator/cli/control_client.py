"""A client of the control path of a running emulator."""

import json
from http.client import OK, HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from emulator.cli.output import print_line
from emulator.errors import EmulatorError
from emulator.redaction import clean_line
from emulator.suggestions import join, quote, suggest_one

_LOOKED_AT = "1000"
"""Exchanges whose sessions are looked at."""
_SHOWN = 9
TIMEOUT = 30.0
"""Seconds to wait for a response."""


def get_control(url: str, name: str, token: str | None = None, **query: str | None) -> Any:
    """Send GET to a control path and return its JSON; query parameters that are None are left out. Raises EmulatorError.

    Proxies of the environment are not used: an emulator is not behind one, and may be one itself.
    """
    parameters = urlencode({key: value for key, value in query.items() if value is not None})
    path = f"/__emulator__/{name}{f'?{parameters}' if parameters else ''}"
    try:
        parts = urlsplit(url)
        connection = connect(parts.scheme, parts.hostname or "", parts.port, TIMEOUT)
    except (KeyError, ValueError, HTTPException):
        raise EmulatorError(f'the URL is "{url}"; expected one such as http://127.0.0.1:8080') from None
    try:
        connection.request("GET", path, headers=_authorize(token))
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, HTTPException) as error:
        raise EmulatorError(f"no emulator answers at {url} ({reason_of(error)}); --url says where it runs") from None
    except ValueError:
        raise EmulatorError(f"what answers at {url} is no emulator; --url is the one that `serve` prints") from None
    finally:
        connection.close()
    if response.status != OK:
        try:
            message = str(answer["error"]["message"]).removeprefix("emulator: ")
        except (KeyError, TypeError):
            message = "it is no emulator"
        raise EmulatorError(f"the server at {url} says {response.status}: {message}")
    return answer


def note_other_sessions(url: str, token: str | None, session: str | None) -> None:
    """Say on stderr whose requests the journal has, if it has some and none of a session that was asked for. Raises EmulatorError."""
    if session is None or get_control(url, "journal", token, session=session, limit="1")["exchanges"]:
        return
    others = sorted(
        {one["session"] for one in get_control(url, "journal", token, limit=_LOOKED_AT)["exchanges"] if one["session"]}
    )
    if others:
        shown = [*map(clean_line, others[:_SHOWN]), *(["others"] if len(others) > _SHOWN else [])]
        print_line(
            f"no request of the project {quote(session)} is in the journal, only those of {join(shown, 'and')}{suggest_one(session, others)}"
        )


def _authorize(token: str | None) -> dict[str, bytes]:
    """The header with the control token, as UTF-8. Raises EmulatorError for a token that no header can have."""
    if not token:
        return {}
    if "\n" in token or "\r" in token:
        raise EmulatorError("the control token has a line break; give the token alone")
    return {"authorization": b"Bearer " + token.encode("utf-8", "surrogateescape")}


def connect(scheme: str, host: str, port: int | None, timeout: float) -> HTTPConnection:
    """A connection over HTTP or HTTPS that is opened by the first request. Raises KeyError for another scheme."""
    kinds: dict[str, type[HTTPConnection]] = {"http": HTTPConnection, "https": HTTPSConnection}
    return kinds[scheme](host, port, timeout=timeout)


def reason_of(error: OSError | HTTPException) -> str:
    """Say in a few lower-case words why a request got no response."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
