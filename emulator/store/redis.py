"""The store that several processes and machines share: Redis, or a server that speaks its protocol, such as Valkey.

Each process has a replica of the sessions that it answers and of the journal. Whatever must be decided once for all is decided by a Lua
script on the server (`lua/`); what only has to be recorded is written to the socket before the answer leaves. The keys: docs/scale.md.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from emulator import __version__
from emulator.engine.matching.choose import Chosen
from emulator.engine.quota import (
    BucketKey,
    Levels,
    Limits,
    QuotaDemand,
    QuotaRefusal,
    Shortage,
    explain_full,
    explain_shortage,
    show_levels,
)
from emulator.engine.session import State
from emulator.errors import StartError
from emulator.store.exchange import Entry
from emulator.store.interface import OPEN_STREAMS, PushedScenario, StoreUnreachableError, read_pushed_scenario
from emulator.store.journal import Journal
from emulator.store.memory import QueueFutures
from emulator.store.records import pack, unpack
from emulator.store.redis_link import PATIENCE, Argument, Link, MovedError, UnreachableError
from emulator.store.redis_servers import find_servers, without_password
from emulator.store.sessions import MAX_PREFIXES, MAX_SESSIONS, Session, Sessions

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool
    from redis.asyncio.connection import AbstractConnection

KEY_LIFETIME = 24 * 60 * 60
"""Seconds after which a key that nobody writes to expires."""
HEARTBEAT = 1.0
"""Seconds between two signs of life of a process."""
PROCESS_LIFETIME = 5
"""Seconds without a sign of life after which a process counts as dead, and its places in quotas are free again."""
_FIRST_BLOCK, _LARGEST_BLOCK = 50, 10_000
_SPARE = 1_000_000
_SCRIPTS = (
    "append",
    "count",
    "counters",
    "join",
    "look",
    "publish",
    "push",
    "quota",
    "read",
    "recall",
    "remove",
    "reserve",
    "sessions",
    "tally",
    "use",
)
_SEPARATOR = "\x1f"
_FILE_END = "\0"
"""What stands between the name of a pushed scenario's file and its text, neither of which can have it."""


class Keys:
    """The names of the keys of a namespace. Keys of one session, and those of all, have a hash tag each, so that a cluster can spread them."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        common = f"{namespace}:{{common}}:"
        self.journal = f"{common}journal"
        self.meta = f"{common}meta"
        self.sessions = f"{common}sessions"
        self.processes = f"{common}processes"
        self.identity = f"{common}identity"
        self.buckets = f"{common}buckets"
        self.bucket_uses = f"{common}bucket-uses"
        self.changes = f"{common}changes"
        """Channel on which processes are told of changes."""
        self.counters = f"{common}counters"
        """The hash with the counters of all processes."""
        self.turns = f"{common}turns"
        """Channel on which queued requests are told to try again."""

    def state(self, project: str) -> str:
        """The hash with a session's counters, flags and the version of its scenario."""
        return f"{self._namespace}:{{session:{project}}}:state"

    def text(self, project: str) -> str:
        """The file name and the text of a session's own scenario."""
        return f"{self._namespace}:{{session:{project}}}:text"

    def prefixes(self, project: str) -> str:
        """The digests of prompt prefixes that a session has sent."""
        return f"{self._namespace}:{{session:{project}}}:prefixes"

    def all_of(self, project: str) -> list[str]:
        """All keys of a session."""
        return [self.state(project), self.text(project), self.prefixes(project)]


class NumberBlocks:
    """Numbers of exchanges, unique across processes: taken from blocks that are reserved before they are needed."""

    def __init__(self, reserve: Callable[[int], "asyncio.Future[int] | Any"]) -> None:
        """`reserve` is a coroutine function that reserves so many numbers and returns the last."""
        self._reserve = reserve
        self._blocks: list[range] = []
        self._size = _FIRST_BLOCK
        self._spare = iter(range(0))
        self._refilling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Reserve the first block, and another one for the time when the store is unreachable."""
        last = await self._reserve(self._size)
        self._blocks = [range(last - self._size + 1, last + 1)]
        self._spare = iter(range(secrets.randbelow(_SPARE) * _SPARE + _SPARE, 2**62))

    def take(self) -> int:
        """The next number."""
        if self._blocks:
            block = self._blocks[0]
            number = block[0]
            if len(block) > 1:
                self._blocks[0] = block[1:]
            else:
                del self._blocks[0]
            if sum(map(len, self._blocks)) <= self._size // 2:
                self._refill()
            return number
        # More requests at a time than were foreseen, or the store is away: numbers far behind all others.
        self._size = min(_LARGEST_BLOCK, self._size * 2)
        self._refill()
        return next(self._spare)

    def _refill(self) -> None:
        if self._refilling is None:
            self._refilling = asyncio.ensure_future(self._add_block())

    async def _add_block(self) -> None:
        try:
            size = self._size
            last = await self._reserve(size)
            self._blocks.append(range(last - size + 1, last + 1))
        except UnreachableError:
            pass
        finally:
            self._refilling = None


class RedisStore:
    """A `Store` on a Redis server."""

    def __init__(
        self,
        url: str,
        sessions: Sessions,
        journal: Journal,
        *,
        namespace: str = "vertex-emulator",
        reread: Callable[[], object] = lambda: None,
        report: Callable[[str], object] = lambda _: None,
        server_time: bool = True,
        read_counters: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        """`reread` has this process read the server's scenarios again; `report` gets what its users should know.

        `server_time` counts quotas by the clock of the Redis server, not by the `now` of the methods. `read_counters` returns
        the counters of this process, which are handed over with each sign of life.
        """
        self.url = url
        self._sessions = sessions
        self._journal = journal
        self._keys = Keys(namespace)
        self._namespace = namespace
        self._reread = reread
        self._report = report
        self._server_time = server_time
        self._read_counters = read_counters
        self._counted: dict[str, int] = {}
        """The counters as they were handed over last."""
        self._process = f"{secrets.token_hex(6)}@{__version__}"
        self._servers = find_servers(url)
        self._links: dict[str, Link] = {}
        """By server: one, unless it is a cluster."""
        self._queue = QueueFutures()
        self._demands: dict[int, tuple[QuotaDemand, ...]] = {}
        """What the tickets of this process have taken, or wait for."""
        self._numbers = NumberBlocks(self._reserve)
        self.next_number = self._numbers.take
        self._generation = 0
        """Grows whenever all sessions may have changed."""
        self._epoch = "-1"
        self._records: list[bytes | str] = []
        """Sessions and records of exchanges that are not handed over yet."""
        self._uses: dict[str, dict[str, int]] = {}
        """Uses of rules that are not handed over yet, by project."""
        self._sequence = 0
        self._lost = 0
        self._lost_since: float | None = None
        self._identity = ""
        self._acknowledged: dict[str, asyncio.Semaphore] = {}
        """By announced change: released by each process that has taken it."""
        self._changes: set[asyncio.Task[None]] = set()
        """Changes that this process is taking."""
        self._reading = asyncio.Lock()
        """Held while the journal is refreshed, so that no exchange is added twice."""
        self._tasks: list[asyncio.Task[Any]] = []

    # Connecting

    async def open(self) -> None:
        """Connect, and begin to listen for changes. Raises StartError if the server does not answer, or holds another version's data."""
        try:
            await self._servers.find()
            name, pool = self._servers.pool_of(self._keys.meta)
            link = self._make_link(pool)
            await link.open()
        except UnreachableError as error:
            raise StartError(f"the store {without_password(self.url)} cannot be reached: {error}") from error
        self._add_link(name, link)
        await self._join()
        subscribed = asyncio.Event()
        self._tasks.append(asyncio.create_task(self._listen(subscribed)))
        self._tasks.append(asyncio.create_task(self._show_life()))
        await self._numbers.open()
        await subscribed.wait()

    async def close(self) -> None:
        """Hand over what is left, and disconnect."""
        self.flush()
        with suppress(UnreachableError, StoreUnreachableError):
            if any(link.is_connected for link in self._links.values()):
                await self._share_counters()
        for link in self._links.values():
            if link.is_connected:
                # Replies come in order: once this has one, all that was handed over has been carried out.
                with suppress(UnreachableError):
                    await link.call("publish", [], self._keys.turns, "")
        tasks = [*self._tasks, *self._changes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _link_of(self, key: str) -> Link:
        """The connection to the server that has a key."""
        name, pool = self._servers.pool_of(key)
        link = self._links.get(name)
        return self._add_link(name, self._make_link(pool)) if link is None else link

    def _make_link(self, pool: "ConnectionPool") -> Link:
        async def connect() -> "AbstractConnection":
            connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis gives it no types
            await connection.connect()  # type: ignore[no-untyped-call]  # as above
            return connection

        return Link(connect, _SCRIPTS, self._on_connected, self._on_lost, self._on_moved)

    def _add_link(self, name: str, link: Link) -> Link:
        self._links[name] = link
        self._tasks.append(asyncio.create_task(link.run()))
        return link

    def _on_moved(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> None:
        """Hand a command over again whose keys are on another node now."""

        async def repeat() -> None:
            with suppress(UnreachableError):
                await self._servers.find()
            self._hand_over(script, keys, *arguments)

        self._tasks.append(asyncio.ensure_future(repeat()))

    async def _on_connected(self) -> None:
        if self._lost_since is None:
            return
        away = asyncio.get_running_loop().time() - self._lost_since
        self._lost_since = None
        lost, self._lost = self._lost, 0
        missing = f"; {lost} exchanges are missing in the journal" if lost else ""
        with suppress(StartError, UnreachableError):
            await self._join()
        self._generation += 1
        # Last, because whoever reads it may rely on all that.
        self._report(f"the store answers again after {away:.1f} s{missing}")

    def _on_lost(self, reason: str) -> None:
        if self._lost_since is None:
            self._lost_since = asyncio.get_running_loop().time()
            self._report(
                f"the store {without_password(self.url)} is unreachable ({reason}); what needs it is answered with 418 store_unreachable"
            )

    async def _join(self) -> None:
        """Say that this process lives. Raises StartError if a process of another version does."""
        keys = [self._keys.processes, self._keys.identity]
        identity, version = await self._link_of(keys[0]).call(
            "join",
            keys,
            self._process,
            __version__,
            PROCESS_LIFETIME,
            KEY_LIFETIME,
            secrets.token_hex(8),
        )
        if version:
            raise StartError(
                f"version {version.decode()} of the emulator uses the namespace {self._namespace} of the store, "
                f"and this is version {__version__}; stop it, or choose another --store-namespace"
            )
        if self._identity and identity.decode() != self._identity:
            self._report("the store was emptied: sessions and journal begin anew")
            self._generation += 1
            self._epoch = "-1"
        self._identity = identity.decode()

    async def _show_life(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            with suppress(UnreachableError, StoreUnreachableError, StartError):
                await self._join()
                await self._share_counters()

    # What other processes say

    async def _listen(self, subscribed: asyncio.Event) -> None:
        """Receive what other processes publish; after a break, all sessions may have changed."""
        from redis.asyncio import Redis  # noqa: PLC0415  # only where the store is Redis
        from redis.exceptions import RedisError  # noqa: PLC0415  # as above

        handlers: Mapping[bytes, Callable[[bytes], object]] = {
            self._keys.changes.encode(): self._take_change,
            self._keys.turns.encode(): self._take_turns,
        }
        while True:
            client: Redis = Redis(connection_pool=self._servers.pool_of(self._keys.meta)[1])
            with suppress(RedisError, OSError):
                async with client.pubsub() as channel:
                    await channel.subscribe(self._keys.changes, self._keys.turns)
                    async for message in channel.listen():
                        if message["type"] == "message":
                            handlers[message["channel"]](message["data"])
                        elif not subscribed.is_set():
                            subscribed.set()
                        else:
                            self._generation += 1
            await asyncio.sleep(0.1)

    def _take_turns(self, message: bytes) -> None:
        process = f"{self._process}:"
        for ticket in message.decode().split():
            if ticket.startswith(process):
                self._queue.resolve(int(ticket.removeprefix(process)))

    def _take_change(self, message: bytes) -> None:
        change = json.loads(message)
        identifier = change["id"]
        if change["kind"] == "seen":
            if identifier in self._acknowledged:
                self._acknowledged[identifier].release()
            return
        task = asyncio.ensure_future(self._carry_out(change))
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    async def _carry_out(self, change: Mapping[str, Any]) -> None:
        """Take a change of another process or of this one, and tell who announced it."""
        if change["kind"] == "reload" and change["process"] != self._process:
            await asyncio.to_thread(self._reread)
        project = change["project"]
        if project is None:
            self._generation += 1
        else:
            self._sessions.find(project).seen = -1
        await self._publish(json.dumps({"id": change["id"], "kind": "seen"}))

    async def _publish(self, message: str) -> int:
        try:
            received: int = await self._link_of(self._keys.meta).call("publish", [], self._keys.changes, message)
        except UnreachableError:
            return 0
        return received

    async def _announce(self, kind: str, project: str | None) -> None:
        """Tell all processes of a change, and wait until they have taken it."""
        identifier = secrets.token_hex(8)
        seen = self._acknowledged[identifier] = asyncio.Semaphore(0)
        try:
            message = {"id": identifier, "kind": kind, "project": project, "process": self._process}
            receivers = await self._publish(json.dumps(message))
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    for _ in range(receivers):
                        await seen.acquire()
        finally:
            del self._acknowledged[identifier]

    async def _call(self, script: str, keys: Sequence[str], *arguments: Argument) -> Any:
        """Call a script after what was recorded before. Raises StoreUnreachableError."""
        self.flush()
        try:
            try:
                return await self._link_of(keys[0]).call(script, keys, *arguments)
            except MovedError:
                await self._servers.find()
                return await self._link_of(keys[0]).call(script, keys, *arguments)
        except UnreachableError as error:
            raise StoreUnreachableError(f"the store {without_password(self.url)} is unreachable: {error}") from error

    def _hand_over(self, script: str, keys: Sequence[str], *arguments: Argument) -> bool:
        try:
            return self._link_of(keys[0]).hand_over(script, keys, *arguments)
        except UnreachableError:
            return False

    async def check(self) -> None:
        """Return if the server answers. Raises StoreUnreachableError."""
        await self._call("publish", [self._keys.meta], self._keys.turns, "")

    # Sessions

    def is_stale(self, session: Session) -> bool:
        """Whether the session may have changed since its replica was refreshed."""
        return session.seen != self._generation

    async def refresh(self, project: str, session: Session) -> None:
        """Refresh the replica of a session."""
        if self.is_stale(session):
            arguments = "add", KEY_LIFETIME, MAX_SESSIONS, project
            self._hand_over("sessions", [self._keys.sessions], *arguments)
        generation = self._generation
        keys = [self._keys.state(project), self._keys.text(project)]
        version, text, flags, uses = await self._call("look", keys, session.version)
        version = version.decode()
        if text is not None:
            file, _, written = text.decode().partition(_FILE_END)
            pushed = await asyncio.to_thread(read_pushed_scenario, project, written, file)
            session.replace_scenario(pushed.ruleset, written)
        elif not version and session.text is not None:
            session.replace_scenario(None, None)
        session.version = version
        session.uses = {key.decode(): int(use) for key, use in zip(uses[::2], uses[1::2], strict=True)}
        session.flags = _read_flags(flags)
        session.seen = generation

    async def refresh_all(self) -> None:
        """Refresh all sessions and the journal."""
        await self.refresh_journal()
        found = await self._call("sessions", [self._keys.sessions], "list", KEY_LIFETIME, MAX_SESSIONS, "")
        projects = {project.decode() for project in found} | {project for project, _ in self._sessions.all()}
        await asyncio.gather(*(self.refresh(project, self._sessions.find(project)) for project in projects))

    async def refresh_journal(self) -> None:
        """Refresh the journal."""
        keys = [self._keys.journal, self._keys.meta]
        async with self._reading:
            epoch, first, found = await self._call("read", keys, self._epoch, self._journal.position)
            epoch = epoch.decode()
            entries = [(int(position.partition(b"-")[0]), unpack(fields[3])) for position, fields in found]
            self._journal.replace(entries, first, anew=epoch != self._epoch)
            self._epoch = epoch

    def note_use(self, project: str, _session: Session, chosen: Chosen) -> bool:
        """Count the use of a rule; it is handed over with the exchange."""
        uses = self._uses.setdefault(project, {})
        uses[chosen.rule.key] = uses.get(chosen.rule.key, 0) + 1
        return True

    async def use(self, project: str, session: Session, chosen: Chosen | None, state: State) -> int | None:
        """Record the use of the chosen rule, unless the state that it was chosen from is stale."""
        before = state.flags
        if chosen is None:
            # What is used up stays so, but flags may have been set or cleared.
            await self.refresh(project, session)
            return 0 if before == session.flags else None
        rule = chosen.rule
        after = before if rule.flags is None else rule.flags.apply(before)
        # Whoever is answered meanwhile counts on from here.
        session.record_use(chosen)
        limit = "" if rule.limit is None else rule.limit
        keys = [self._keys.state(project)]
        arguments = KEY_LIFETIME, rule.key, limit, _write_flags(before), _write_flags(after)
        use, flags = await self._call("use", keys, *arguments)
        if use is None:
            await self.refresh(project, session)
            return None
        session.uses[rule.key] = max(session.uses.get(rule.key, 0), use)
        session.flags = _read_flags(flags)
        number: int = use
        return number

    async def count(self, project: str, key: str) -> int:
        """Increment a session's counter that belongs to no rule, and return its value."""
        value: int = await self._call("tally", [self._keys.state(project)], KEY_LIFETIME, key)
        return value

    async def recall(self, project: str, prefixes: Sequence[bytes]) -> int:
        """Remember the digests of a prompt's prefixes; return how many of them the session had before."""
        keys = [self._keys.prefixes(project), self._keys.state(project)]
        known: int = await self._call("recall", keys, KEY_LIFETIME, MAX_PREFIXES, *prefixes)
        return known

    async def push(self, project: str, pushed: PushedScenario | None) -> None:
        """Set a session's own scenario, or remove it; all processes know when this returns."""
        keys = self._keys.all_of(project)
        version, text = (secrets.token_hex(8), f"{pushed.file}{_FILE_END}{pushed.text}") if pushed else ("", "")
        await self._call("push", keys, KEY_LIFETIME, version, text)
        if pushed:
            await self._call("sessions", [self._keys.sessions], "add", KEY_LIFETIME, MAX_SESSIONS, project)
        await self._call_quota("reset", f"{_SEPARATOR}{project}{_SEPARATOR}")
        await self._announce("push", project)

    async def reset(self, project: str | None) -> None:
        """Delete sessions, token buckets and exchanges of one project, or of all."""
        action = ("clear", "") if project is None else ("remove", project)
        listed = await self._call("sessions", [self._keys.sessions], action[0], KEY_LIFETIME, MAX_SESSIONS, action[1])
        projects = [project] if project is not None else [one.decode() for one in listed]
        await asyncio.gather(*(self._call("push", self._keys.all_of(one), KEY_LIFETIME, "", "") for one in projects))
        await self._call_quota("reset", "all" if project is None else f"{_SEPARATOR}{project}{_SEPARATOR}")
        scope = ("all", "") if project is None else ("session", project)
        await self._call("remove", [self._keys.journal, self._keys.meta], *scope)
        await self._announce("reset", project)

    async def reload(self) -> None:
        """Make the other processes read the server's scenarios again, as this one has done."""
        await self._announce("reload", None)

    # Quotas

    async def _call_quota(self, action: str, *arguments: Argument, now: float = 0.0) -> Any:
        keys = [self._keys.buckets, self._keys.bucket_uses, self._keys.processes]
        return await self._call("quota", keys, action, self._moment(now), self._keys.turns, *arguments)

    def _moment(self, now: float) -> str:
        return "" if self._server_time else repr(now)

    async def enter(
        self, quota_ticket: int, demands: Sequence[QuotaDemand], tokens: int, now: float, *, wait: bool
    ) -> QuotaRefusal | float:
        """Ask for admission by quotas."""
        self._queue.discard(quota_ticket)
        # Expected from now on: a turn may come before the reply is read.
        self._queue.get(quota_ticket)
        told: list[Argument] = []
        for limits, key in demands:
            told += [_SEPARATOR.join(key), _or_empty(limits.requests), _or_empty(limits.tokens)]
            told += [_or_empty(limits.concurrent), limits.queue_length, repr(limits.queue_timeout)]
        ticket = f"{self._process}:{quota_ticket}"
        if wait:
            self._demands[quota_ticket] = tuple(demands)
        result, *facts = await self._call_quota("enter", KEY_LIFETIME, ticket, tokens, int(wait), *told, now=now)
        if result == b"entered":
            self._demands[quota_ticket] = tuple(demands)
            self._queue.discard(quota_ticket)
            return float(facts[0])
        which, *facts = facts
        demand = demands[which]
        if result == b"full":
            in_flight, waiting, is_queued = facts
            refusal = explain_full(which, demand, in_flight, waiting, is_queued=bool(is_queued))
            if not wait:
                refusal = QuotaRefusal(which, refusal.reason)
        else:
            limit, per_minute, left, needed, seconds, queued = facts
            shortage = Shortage(limit.decode(), float(per_minute), float(left), float(needed), float(seconds))
            refusal = explain_shortage(which, demand, shortage, queued)
        if refusal.queue_timeout is None:
            self._queue.discard(quota_ticket)
            if wait:
                self._demands.pop(quota_ticket, None)
        return refusal

    def leave(self, quota_ticket: int, more: int, now: float) -> None:
        """End an admission."""
        self._queue.discard(quota_ticket)
        demands = self._demands.pop(quota_ticket, None)
        if demands is None:
            return
        told: list[Argument] = []
        for limits, key in demands:
            told += [_SEPARATOR.join(key), _or_empty(limits.requests), _or_empty(limits.tokens)]
        keys = [self._keys.buckets, self._keys.bucket_uses, self._keys.processes]
        ticket = f"{self._process}:{quota_ticket}"
        self._hand_over("quota", keys, "leave", self._moment(now), self._keys.turns, ticket, more, *told)

    def turn(self, quota_ticket: int) -> "asyncio.Future[None]":
        """Future that resolves when a queued request may retry."""
        future = self._queue.get(quota_ticket)
        # A place that a process held when it died is free after a while, and nobody says so.
        asyncio.get_running_loop().call_later(PROCESS_LIFETIME, partial(_resolve, future))
        return future

    async def show_buckets(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The state of the token buckets."""
        told: list[Argument] = []
        for one in limits:
            told += [one.key + _SEPARATOR, _or_empty(one.requests), _or_empty(one.tokens)]
        shown = []
        for one, buckets in zip(limits, await self._call_quota("list", *told, now=now), strict=True):
            rows = []
            for field, requests, tokens, queued, in_flight, waiting in buckets:
                key = BucketKey(*field.decode().split(_SEPARATOR))
                if key.session in {"", session}:
                    levels = Levels(now, float(requests), float(tokens), (now,) * queued)
                    rows.append(show_levels(one, key, levels, in_flight, waiting))
            shown.append(rows)
        return shown

    # The journal

    def keep(self, entry: Entry) -> None:
        """Record an exchange that has ended; it is handed over before anything more is written to a client."""
        if not self._records:
            asyncio.get_running_loop().call_soon(self.flush)
        self._records += (entry.session, pack(entry))

    def flush(self) -> None:
        """Write all that is recorded to the store's socket."""
        if self._uses:
            for project, uses in self._uses.items():
                self._sequence += 1
                told: list[Argument] = [part for pair in uses.items() for part in pair]
                keys = [self._keys.state(project)]
                self._hand_over("count", keys, KEY_LIFETIME, self._process, self._sequence, *told)
            self._uses = {}
        if self._records:
            records, self._records = self._records, []
            self._sequence += 1
            keys = [self._keys.journal, self._keys.meta]
            bounds = self._journal.max_exchanges, self._journal.max_bytes
            if not self._hand_over("append", keys, KEY_LIFETIME, self._process, self._sequence, *bounds, *records):
                self._lost += len(records) // 2

    async def sum_counters(self) -> Mapping[str, int]:
        """The counters of all processes; those of others as they were at their last sign of life."""
        return await self._share_counters()

    async def _share_counters(self) -> Mapping[str, int]:
        """Add to the shared counters what this process has counted since the last time, and return them."""
        current = dict(self._read_counters())
        is_open = current.pop(OPEN_STREAMS, 0)
        before, self._counted = self._counted, current
        told: list[Argument] = []
        for name, number in current.items():
            if number != before.get(name, 0):
                told += [name, number - before.get(name, 0)]
        keys = [self._keys.counters, self._keys.processes]
        try:
            open_streams, found = await self._call("counters", keys, KEY_LIFETIME, self._process, is_open, *told)
        except StoreUnreachableError:
            # Handed over with the next sign of life.
            self._counted = {
                name: number - (current[name] - before.get(name, 0)) if name in current else number
                for name, number in self._counted.items()
            }
            raise
        names, numbers = found[::2], map(int, found[1::2])
        return {
            **{name.decode(): number for name, number in zip(names, numbers, strict=True)},
            OPEN_STREAMS: open_streams,
        }

    async def _reserve(self, count: int) -> int:
        last: int = await self._link_of(self._keys.meta).call("reserve", [self._keys.meta], KEY_LIFETIME, count)
        return last


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _or_empty(value: float | None) -> Argument:
    return "" if value is None else repr(value)


def _write_flags(flags: AbstractSet[str]) -> str:
    return _SEPARATOR.join(sorted(flags))


def _read_flags(text: bytes) -> frozenset[str]:
    return frozenset(text.decode().split(_SEPARATOR)) if text else frozenset()
