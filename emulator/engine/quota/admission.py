"""Quotas of a server, asked for a request: which concern it, what it takes of them, and in which words it is refused."""

from collections.abc import Sequence
from typing import Any, Protocol

from emulator.engine.quota.buckets import Demand, Lack, Owner, Ticket
from emulator.engine.quota.limits import CompiledQuota, Limits
from emulator.engine.refusals import refuse, values_for
from emulator.engine.request.facts import Facts
from emulator.scenario.rules import Traffic
from emulator.wire.errors import Refusal


class QuotaStore(Protocol):
    """What keeps the accounts: the part of `emulator.store.store.Store` that quotas need."""

    async def enter(
        self, ticket: int, demands: Sequence[Demand], tokens: int, now: float, *, wait: bool
    ) -> Lack | float:
        """Ask for room in quotas."""
        ...

    async def show_accounts(self, limits: Sequence[Limits], session: str, now: float) -> list[list[dict[str, Any]]]:
        """The accounts of quotas."""
        ...


_PROVISIONED: Traffic = "PROVISIONED_THROUGHPUT"


async def admit(
    store: QuotaStore, quotas: Sequence[CompiledQuota], facts: Facts, ticket: Ticket, now: float
) -> Refusal | None:
    """Let a request in, which is written on its ticket, or refuse it, which takes nothing.

    Documented (pages on Provisioned Throughput and Priority PayGo): requests use provisioned throughput where there is some,
    and beyond it are paid as they go; with `X-Vertex-AI-LLM-Request-Type: dedicated` they are refused with 429 instead, with
    `shared` they never touch it. Assumed: what provisioned throughput carries does not count against other quotas, and
    without any such quota there is enough of it.
    """
    concerning = [quota for quota in quotas if quota.concerns(facts)]
    kind = facts.llm_headers.get("x-vertex-ai-llm-request-type", "").lower()
    provisioned = [quota for quota in concerning if quota.is_provisioned]
    if kind == "dedicated":
        concerning = provisioned
    else:
        # What can be paid for as it goes does not wait.
        if provisioned and kind != "shared":
            passes = await _enter(store, provisioned, facts, ticket, now, wait=False)
            if not isinstance(passes, Lack):
                facts.traffic = _PROVISIONED
                return None
        concerning = [quota for quota in concerning if not quota.is_provisioned]
    lack = await _enter(store, concerning, facts, ticket, now) if concerning else 0.0
    if not isinstance(lack, Lack):
        return None
    ticket.patience = lack.patience
    lacking = concerning[lack.which]
    explanation = f"the quota at {lacking.limits.place} {lack.reason}"
    return refuse(lacking.error, values_for(facts.target, facts.model), explanation=explanation)


async def _enter(
    store: QuotaStore, quotas: Sequence[CompiledQuota], facts: Facts, ticket: Ticket, now: float, *, wait: bool = True
) -> Lack | float:
    tokens = facts.prompt_tokens if any(quota.limits.tokens for quota in quotas) else 0
    ticket.has_asked = True
    demands = [Demand(quota.limits, _owner(quota, facts)) for quota in quotas]
    entered = await store.enter(ticket.number, demands, tokens, now, wait=wait)
    if not isinstance(entered, Lack):
        ticket.tokens, ticket.held = tokens, entered
    return entered


def _owner(quota: CompiledQuota, facts: Facts) -> Owner:
    limits = quota.limits
    session = "" if limits.per == "server" else facts.target.project
    return Owner(limits.key, session, facts.answering_model if limits.per == "model" else "")


async def show_quotas(
    store: QuotaStore, quotas: Sequence[CompiledQuota], session: str, now: float
) -> list[dict[str, Any]]:
    """The quotas of a session with their accounts, as the control API shows them."""
    accounts = await store.show_accounts([quota.limits for quota in quotas], session, now)
    return [
        {
            "place": quota.limits.place,
            "per": quota.limits.per,
            "requests_per_minute": quota.limits.requests,
            "tokens_per_minute": quota.limits.tokens,
            "concurrent": quota.limits.concurrent,
            "on_excess": quota.error.name,
            "accounts": shown,
        }
        for quota, shown in zip(quotas, accounts, strict=True)
    ]
