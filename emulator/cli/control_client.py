"""Asking a running emulator through its control path."""

import json
from http.client import OK, HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from emulator.errors import EmulatorError

PATIENCE = 30.0
"""Seconds to wait for an answer."""


def ask_control(url: str, name: str, token: str | None = None, **query: str | None) -> Any:
    """What a control path answers, as JSON; parameters that are None are left out. Raises EmulatorError.

    Never through a proxy of the environment: an emulator is not behind one, and may be one itself.
    """
    given = urlencode({key: value for key, value in query.items() if value is not None})
    path = f"/__emulator__/{name}{f'?{given}' if given else ''}"
    headers = {"authorization": f"Bearer {token}"} if token else {}
    connection = _connection_to(url)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise EmulatorError(f"no emulator answers at {url} ({reason.lower()}); --url says where it runs") from None
    except ValueError:
        raise EmulatorError(f"what answers at {url} is no emulator; --url is the one that `serve` prints") from None
    finally:
        connection.close()
    if response.status != OK:
        raise EmulatorError(f"the server at {url} says {response.status}: {_message(answer)}")
    return answer


def _connection_to(url: str) -> HTTPConnection:
    kinds: dict[str, type[HTTPConnection]] = {"http": HTTPConnection, "https": HTTPSConnection}
    try:
        parts = urlsplit(url)
        return kinds[parts.scheme](parts.hostname or "", parts.port, timeout=PATIENCE)
    except (KeyError, ValueError, HTTPException):
        raise EmulatorError(f'the URL is "{url}"; expected one such as http://127.0.0.1:8080') from None


def _message(answer: Any) -> str:
    try:
        return str(answer["error"]["message"]).removeprefix("emulator: ")
    except (KeyError, TypeError):
        return "it is no emulator"
