"""OpenAI clients for the emulator: they use no proxy of the environment and are closed when it stops."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from emulator.errors import StartError

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI


Client = TypeVar("Client")


class OpenAIClients:
    """Creates clients and closes them, each with the emulator or session that owns it."""

    def __init__(self) -> None:
        self._clients: dict[OpenAI, object] = {}
        self._async_clients: dict[AsyncOpenAI, object] = {}

    def openai(self, owner: object, base_url: str, api_key: str, options: dict[str, Any]) -> "OpenAI":
        """Create a client; `options` override the defaults. Raises StartError without the package openai."""
        try:
            from openai import DefaultHttpxClient, OpenAI  # noqa: PLC0415  # slow to import
        except ImportError:
            raise _missing_openai() from None
        given = {"base_url": base_url, "api_key": api_key} | options
        if "http_client" not in given:
            # `trust_env=False` passes by proxies, and for plain HTTP no certificates need to be loaded.
            given["http_client"] = DefaultHttpxClient(trust_env=False, verify=False)
        client = OpenAI(**given)
        self._clients[client] = owner
        return client

    def async_openai(self, owner: object, base_url: str, api_key: str, options: dict[str, Any]) -> "AsyncOpenAI":
        """Create a client for asyncio; otherwise as `openai`."""
        try:
            from openai import AsyncOpenAI, DefaultAsyncHttpxClient  # noqa: PLC0415  # as above
        except ImportError:
            raise _missing_openai() from None
        given = {"base_url": base_url, "api_key": api_key} | options
        if "http_client" not in given:
            # A connection kept open would outlive its loop, which is often closed before the emulator stops.
            headers = {"Connection": "close"}
            given["http_client"] = DefaultAsyncHttpxClient(trust_env=False, verify=False, headers=headers)
        client = AsyncOpenAI(**given)
        self._async_clients[client] = owner
        return client

    def close(self, owner: object = None) -> None:
        """Close the clients of an owner, or all."""
        self._close_sync(owner)
        if _owned_by(self._async_clients, owner):
            # On a new thread, because this one may have a running loop.
            with ThreadPoolExecutor(1) as pool:
                pool.submit(asyncio.run, self.aclose(owner)).result()

    async def aclose(self, owner: object = None) -> None:
        """Close them on the running event loop."""
        self._close_sync(owner)
        for client in _owned_by(self._async_clients, owner):
            del self._async_clients[client]
            await client.close()

    def _close_sync(self, owner: object) -> None:
        for client in _owned_by(self._clients, owner):
            del self._clients[client]
            client.close()


def _owned_by(clients: dict[Client, object], owner: object) -> list[Client]:
    return [client for client, its_owner in clients.items() if owner is None or its_owner is owner]


def _missing_openai() -> StartError:
    return StartError("this needs the package openai; pip install openai")
