"""What `serve` prints once it answers: a text for people, or one line of JSON for programs."""

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator import __version__
from emulator.cli.interception import InterceptionSetup
from emulator.cli.options import TOKEN_LIFETIME, ClientOptions
from emulator.cli.output import count

if TYPE_CHECKING:
    from emulator.server.service import Service


@dataclass(frozen=True, slots=True)
class Banner:
    """The addresses of a running server and what clients need to use it."""

    service: "Service"
    url: str
    client_options: ClientOptions
    interception: InterceptionSetup | None
    workers: int

    def _base_url(self) -> str:
        from emulator.server.listening import base_url

        return base_url(self.url, self.client_options.project, self.client_options.location)

    def _api_key(self) -> str:
        """A token that is accepted in every mode; with a proxy, the one in the variables of unchanged programs."""
        if self.interception is not None and self.interception.client is not None:
            return self.interception.client.api_key
        return self.service.mint.issue(self.service.clock.now(), TOKEN_LIFETIME)

    def as_text(self) -> str:
        """Base URL, a curl command, the variables for OpenAI clients; then TLS and proxy, if they are on."""
        base, token, ruleset = self._base_url(), self._api_key(), self.service.ruleset
        names = ", ".join(f'"{name}"' for name in ruleset.scenarios)
        workers = f", {self.workers} workers" if self.workers > 1 else ""
        size = f"{count(len(ruleset.rules), 'rule')}{workers}"
        body = '{"model": "google/gemini-3.5-flash", "messages": [{"role": "user", "content": "Hello"}]}'
        text = (
            f"vertex-emulator {__version__} serves {names} ({size}) at {self.url}\n"
            f"\nBase URL (any project, location and endpoint will do):\n  {base}\n"
            f"\nTry it:\n  curl {base}/chat/completions \\\n"
            f"    -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n    -d '{body}'\n"
            f"\nFor OpenAI clients:\n  export OPENAI_BASE_URL={base}\n  export OPENAI_API_KEY={token}\n"
        )
        if self.interception is not None:
            text += f"\nUnder TLS: {self.interception.tls_url}\n"
            text += f"  its certificate authority: {self.interception.certificate}\n"
            if self.interception.client is not None:
                from emulator.intercept.environment import shell_lines

                lines = "".join(f"  {line}\n" for line in shell_lines(self.interception.client))
                text += f"\nFor unchanged programs:\n{lines}"
        return text

    def as_json(self) -> str:
        """One line of JSON: where the server is, and the environment that directs clients to it.

        With a proxy, `environment` has the variables that unchanged programs need in addition to this process's own, and `unset`
        names those that must be removed.
        """
        base, token = self._base_url(), self._api_key()
        fields: dict[str, Any] = {
            "url": self.url,
            "base_url": base,
            "api_key": token,
            "project": self.client_options.project,
            "location": self.client_options.location,
            "control_url": f"{self.url}/__emulator__",
            "environment": {"OPENAI_BASE_URL": base, "OPENAI_API_KEY": token},
            "version": __version__,
            "pid": os.getpid(),
            "workers": self.workers,
        }
        if self.interception is not None:
            fields |= {"tls_url": self.interception.tls_url, "certificate": str(self.interception.certificate)}
            if self.interception.client is not None:
                from emulator.intercept.environment import child_environment

                environment = child_environment(os.environ, self.interception.client)
                fields["environment"] = {
                    key: value for key, value in environment.items() if os.environ.get(key) != value
                }
                fields["unset"] = sorted(set(os.environ) - set(environment))
        return json.dumps(fields)
