"""The servers behind a store's URL: one Redis, the primary that Sentinels name, or the nodes of a cluster."""

from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from emulator.errors import StartError
from emulator.store.redis_link import UnreachableError, explain_failure

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

_CONNECT_TIMEOUT = 2.0
_SENTINEL_PORT = 26379
SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "rediss+cluster")


class RedisServers(Protocol):
    """Where the data of a key is."""

    async def find(self) -> None:
        """Look for the servers, also again when keys have moved."""
        ...

    def pool_of(self, key: str) -> "tuple[str, ConnectionPool]":
        """The name of the server that has a key, and what makes connections to it."""
        ...


class SingleServer:
    """A server at `redis://`, `rediss://` or `unix://`, as redis-py reads such URLs; or the primary of `redis+sentinel://HOST:PORT,HOST:PORT/NAME/0`."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for a URL that cannot be read."""
        from redis.asyncio import ConnectionPool, Sentinel  # noqa: PLC0415  # only where the store is Redis

        parts = urlsplit(url)
        if parts.scheme != "redis+sentinel":
            self._pool = ConnectionPool.from_url(url, socket_connect_timeout=_CONNECT_TIMEOUT)
            return
        hosts = [host.partition(":") for host in parts.netloc.rpartition("@")[2].split(",")]
        name, _, database = parts.path.strip("/").partition("/")
        sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py has no types there
            [(host, int(port or _SENTINEL_PORT)) for host, _, port in hosts],
            db=int(database or 0),
            password=parts.password,
            username=parts.username or None,
            socket_connect_timeout=_CONNECT_TIMEOUT,
        )
        self._pool = sentinel.master_for(name or "mymaster").connection_pool

    async def find(self) -> None:
        """Nothing has to be looked for: a Sentinel is asked for each connection."""

    def pool_of(self, _key: str) -> "tuple[str, ConnectionPool]":
        """The server."""
        return "", self._pool


class Cluster:
    """The nodes of `redis+cluster://HOST:PORT`, any of which tells where the others are."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for a URL that cannot be read."""
        self._parts = urlsplit(url.replace("+cluster", "", 1))
        # Asked for the port too, which has to be a number.
        host, _ = self._parts.hostname, self._parts.port
        if host is None:
            raise ValueError("it names no host")
        self._addresses: dict[int, str] = {}
        """Host and port of the node that has a slot."""
        self._pools: dict[str, ConnectionPool] = {}

    async def find(self) -> None:
        """Ask for the nodes and their slots. Raises UnreachableError."""
        from redis.asyncio import RedisCluster  # noqa: PLC0415  # only where the store is a cluster
        from redis.exceptions import RedisClusterException, RedisError  # noqa: PLC0415  # as above

        try:
            async with RedisCluster.from_url(self._parts.geturl(), socket_connect_timeout=_CONNECT_TIMEOUT) as cluster:
                slots = cluster.nodes_manager.slots_cache
                self._addresses = {slot: f"{nodes[0].host}:{nodes[0].port}" for slot, nodes in slots.items()}
        except (RedisError, RedisClusterException, OSError) as error:
            raise UnreachableError(explain_failure(error)) from error

    def pool_of(self, key: str) -> "tuple[str, ConnectionPool]":
        """The node that has the key's slot. Raises UnreachableError if no node has."""
        from redis.asyncio import ConnectionPool  # noqa: PLC0415  # only where the store is a cluster
        from redis.crc import key_slot  # noqa: PLC0415  # as above

        address = self._addresses.get(key_slot(key.encode()))
        if address is None:
            raise UnreachableError("the cluster is not whole: no node has the slot of a key")
        pool = self._pools.get(address)
        if pool is None:
            user, at, _ = self._parts.netloc.rpartition("@")
            url = self._parts._replace(netloc=f"{user}{at}{address}").geturl()
            pool = self._pools[address] = ConnectionPool.from_url(url, socket_connect_timeout=_CONNECT_TIMEOUT)
        return address, pool


def find_servers(url: str) -> RedisServers:
    """The servers behind a URL. Raises StartError for one that cannot be read."""
    scheme = urlsplit(url).scheme
    expected = "expected redis://HOST:PORT/0, rediss://, unix://PATH, redis+sentinel://HOST:PORT/NAME or redis+cluster://HOST:PORT"
    if scheme not in SCHEMES:
        raise StartError(f'"{without_password(url)}" is no URL of a store; {expected}')
    try:
        return Cluster(url) if scheme.endswith("+cluster") else SingleServer(url)
    except ValueError:
        raise StartError(f'the store\'s URL "{without_password(url)}" cannot be read; {expected}') from None


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    before, separator, rest = url.rpartition("@")
    return f"{before.partition('://')[0]}://{rest}" if separator and "://" in before else rest
