"""What `serve` says of itself once it answers: a text for people, or one line of JSON for programs."""

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator import __version__
from emulator.cli.interception import Aims, Beside
from emulator.cli.options import TOKEN_LIFETIME, count

if TYPE_CHECKING:
    from emulator.server.service import Service


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers: what, where, and what listens beside it."""

    service: "Service"
    url: str
    aims: Aims
    beside: Beside | None
    workers: int

    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        from emulator.server.listening import base_url  # noqa: PLC0415  # --help is quicker so

        return base_url(self.url, self.aims.project, self.aims.location)

    def api_key(self) -> str:
        """A token that passes in every mode, the same as in the variables of unchanged programs."""
        if self.beside is not None and self.beside.overrides is not None:
            return self.beside.overrides.api_key
        return self.service.mint.issue(self.service.clock.now(), TOKEN_LIFETIME)


def greet_people(served: Served) -> str:
    """Base URL, a curl line, the variables for OpenAI clients; then what listens beside the server."""
    base, token, ruleset = served.base_url(), served.api_key(), served.service.ruleset
    names = ", ".join(f'"{name}"' for name in ruleset.scenarios)
    workers = f", {served.workers} workers" if served.workers > 1 else ""
    size = f"{count(len(ruleset.rules), 'rule')}{workers}"
    body = '{"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}'
    return (
        f"vertex-emulator {__version__} serves {names} ({size}) at {served.url}\n"
        f"\nBase URL (any project, location and endpoint will do):\n  {base}\n"
        f"\nTry it:\n  curl {base}/chat/completions \\\n"
        f"    -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n    -d '{body}'\n"
        f"\nFor OpenAI clients:\n  export OPENAI_BASE_URL={base}\n  export OPENAI_API_KEY={token}\n"
        f"{_describe(served.beside) if served.beside else ''}"
    )


def _describe(beside: Beside) -> str:
    from emulator.intercept.environment import shell_lines  # noqa: PLC0415  # as above

    text = f"\nUnder TLS: {beside.tls_url}\n  its certificate authority: {beside.certificate}\n"
    if beside.overrides is not None:
        text += "\nFor unchanged programs:\n" + "".join(f"  {line}\n" for line in shell_lines(beside.overrides))
    return text


def greet_programs(served: Served) -> str:
    """One line of JSON: where the server is, and the environment that leads clients to it.

    With a proxy, `environment` is what its parent's environment, which is the server's too, lacks for unchanged programs, and
    `unset` what it has too much.
    """
    base, token = served.base_url(), served.api_key()
    said: dict[str, Any] = {
        "url": served.url,
        "base_url": base,
        "api_key": token,
        "project": served.aims.project,
        "location": served.aims.location,
        "control_url": f"{served.url}/__emulator__",
        "environment": {"OPENAI_BASE_URL": base, "OPENAI_API_KEY": token},
        "version": __version__,
        "pid": os.getpid(),
        "workers": served.workers,
    }
    if served.beside is not None:
        said |= _list(served.beside)
    return json.dumps(said)


def _list(beside: Beside) -> dict[str, Any]:
    from emulator.intercept.environment import child_environment  # noqa: PLC0415  # as above

    said: dict[str, Any] = {"tls_url": beside.tls_url, "certificate": str(beside.certificate)}
    if beside.overrides is not None:
        environment = child_environment(os.environ, beside.overrides)
        said["environment"] = {key: value for key, value in environment.items() if os.environ.get(key) != value}
        said["unset"] = sorted(set(os.environ) - set(environment))
    return said
