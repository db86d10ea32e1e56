"""OpenAI clients made for the emulator: they speak with it and with nobody else, and are closed when it stops."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from emulator.errors import StartError

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI


Client = TypeVar("Client")


class Clients:
    """The clients that were made and are to be closed, each with whoever asked for it."""

    def __init__(self) -> None:
        self._clients: dict[OpenAI, object] = {}
        self._async_clients: dict[AsyncOpenAI, object] = {}

    def openai(self, owner: object, base_url: str, api_key: str, options: dict[str, Any]) -> "OpenAI":
        """A client that `owner` asks for; `options` win. Raises StartError without the package openai."""
        try:
            from openai import DefaultHttpxClient, OpenAI  # noqa: PLC0415  # slow to import
        except ImportError:
            raise _missing() from None
        given = {"base_url": base_url, "api_key": api_key} | options
        if "http_client" not in given:
            # No proxy of the environment comes between, and certificates are not loaded for plain HTTP.
            given["http_client"] = DefaultHttpxClient(trust_env=False, verify=False)
        client = OpenAI(**given)
        self._clients[client] = owner
        return client

    def async_openai(self, owner: object, base_url: str, api_key: str, options: dict[str, Any]) -> "AsyncOpenAI":
        """The same for asyncio."""
        try:
            from openai import AsyncOpenAI, DefaultAsyncHttpxClient  # noqa: PLC0415  # as above
        except ImportError:
            raise _missing() from None
        given = {"base_url": base_url, "api_key": api_key} | options
        if "http_client" not in given:
            # A connection kept open would outlive its loop, which is often closed before the emulator stops.
            headers = {"Connection": "close"}
            given["http_client"] = DefaultAsyncHttpxClient(trust_env=False, verify=False, headers=headers)
        client = AsyncOpenAI(**given)
        self._async_clients[client] = owner
        return client

    def close(self, owner: object = None) -> None:
        """Close those of an owner, or all."""
        self._close_plain(owner)
        if _of(self._async_clients, owner):
            # On a thread of its own, because a loop may run on this one.
            with ThreadPoolExecutor(1) as pool:
                pool.submit(asyncio.run, self.aclose(owner)).result()

    async def aclose(self, owner: object = None) -> None:
        """The same on the loop that runs."""
        self._close_plain(owner)
        for client in _of(self._async_clients, owner):
            del self._async_clients[client]
            await client.close()

    def _close_plain(self, owner: object) -> None:
        for client in _of(self._clients, owner):
            del self._clients[client]
            client.close()


def _of(clients: dict[Client, object], owner: object) -> list[Client]:
    return [client for client, who in clients.items() if owner is None or who is owner]


def _missing() -> StartError:
    return StartError("this needs the package openai; pip install openai")
