"""The options of commands that ask the real service, and the question before it costs anything."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from emulator.cli.options import option
from emulator.cli.output import count
from emulator.errors import StartError

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_RATE = 60.0
"""Requests a minute that the real service is asked."""


def real_service_options(command: Command) -> Command:
    """Add the options of where requests are sent, with whose credentials, how fast and for how much."""
    for decorator in reversed(
        (
            option("--upstream", metavar="URL", help="Ask this server instead of Google's: an emulator, or a gateway."),
            option(
                "--token",
                metavar="TOKEN",
                help="The access token; by default that of google-auth, else of `gcloud auth print-access-token`.",
            ),
            option(
                "--rate",
                type=click.FloatRange(min=0, min_open=True),
                metavar="NUMBER",
                help="Requests a minute; by default 60, and any number at an --upstream on this machine.",
            ),
            option(
                "--timeout",
                default=120.0,
                metavar="SECONDS",
                type=click.FloatRange(min=0, min_open=True),
                help="Seconds that an answer may take.",
            ),
            option("--yes", is_flag=True, help="Send the requests without asking first."),
        )
    ):
        command = decorator(command)
    return command


def is_on_this_machine(upstream: str | None) -> bool:
    """Whether requests stay on this machine, where they cost nothing. Raises StartError for a URL that is none."""
    from emulator.recording.upstream import is_loopback, parse_upstream

    return upstream is not None and is_loopback(parse_upstream(upstream).hostname or "")


def name_upstream(upstream: str | None, host: str) -> str:
    """The host that is asked, as messages and reports name it."""
    return host if upstream is None else urlsplit(upstream.strip()).netloc


def choose_token(token: str | None, upstream: str | None) -> str:
    """The access token to send. Raises StartError where there is none for the real service."""
    from emulator.recording.access_tokens import LOCAL_TOKEN, find_credentials

    if token is not None:
        cleaned = token.strip()
        if not cleaned or not cleaned.isascii() or any(char.isspace() for char in cleaned):
            raise StartError("the access token has blanks or characters that no token has; give what gcloud prints")
        return cleaned
    return LOCAL_TOKEN if is_on_this_machine(upstream) else find_credentials().get_token()


def choose_interval(rate: float | None, upstream: str | None) -> float:
    """Seconds from the start of one request to that of the next."""
    if rate is None:
        return 0.0 if is_on_this_machine(upstream) else 60.0 / DEFAULT_RATE
    return 60.0 / rate


def confirm(requests: int, tokens: int, dollars: float, unpriced: int, where: str) -> None:
    """Say what is about to be sent, and ask. Raises StartError if nobody can be asked, Abort if the answer is no."""
    unknown = f", and {count(unpriced, 'request')} to models without a known price" if unpriced else ""
    sentence = f"{count(requests, 'request')} to {where}: about {tokens:,} tokens, roughly ${dollars:.2f}{unknown}"
    if not sys.stdin.isatty():
        raise StartError(f"nobody can be asked whether to send {sentence}; say --yes to send without being asked")
    click.confirm(f"Send {sentence}?", abort=True, err=True)
