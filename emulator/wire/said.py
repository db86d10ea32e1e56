"""What messages say, where that is all they do: the most of them have a role and a text, and nothing else."""

from collections.abc import Set as AbstractSet
from typing import Any


class Said:
    """The roles and texts of messages that have nothing else."""

    __slots__ = ("roles", "texts")

    def __init__(self, roles: AbstractSet[str], texts: list[str]) -> None:
        self.roles = roles
        """Those that there are."""
        self.texts = texts
        """One of each message."""


def read_said(messages: Any) -> Said | None:
    """What messages say, as their JSON value tells; None if they have anything else, or another shape than documented."""
    roles: set[str] = set()
    texts: list[str] = []
    if not isinstance(messages, list):
        return None
    try:
        for message in messages:
            first, _ = message
            # In this order, as `Message` has them, so that nothing need be put in order.
            if first != "role":
                return None
            roles.add(message["role"])
            texts.append(message["content"])
        # It takes nothing but texts.
        "".join(roles)
        "".join(texts)
    except (KeyError, TypeError, ValueError):
        return None
    return Said(roles, texts)
