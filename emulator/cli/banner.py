"""What `serve` prints once it answers: a text for people, or one line of JSON for programs."""

import json
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator import __version__
from emulator.cli.interception import InterceptionSetup
from emulator.cli.options import TOKEN_LIFETIME, ClientOptions
from emulator.cli.output import count

if TYPE_CHECKING:
    from emulator.engine.ruleset import CompiledRule, Ruleset
    from emulator.server.service import Service


@dataclass(frozen=True, slots=True)
class Banner:
    """The addresses of a running server and what clients need to use it."""

    service: "Service"
    url: str
    client_options: ClientOptions
    interception: InterceptionSetup | None
    workers: int
    record: Path | None = None
    """The recording, where all requests are forwarded."""
    upstream: str = ""
    """Where they are forwarded to; empty for Google's hosts."""

    def _base_url(self) -> str:
        from emulator.server.listening import base_url

        return base_url(self.url, self.client_options.project, self.client_options.location)

    def _api_key(self) -> str:
        """A token that is accepted; with a proxy, the one in the variables of unchanged programs."""
        if self.interception is not None and self.interception.client is not None:
            return self.interception.client.api_key
        if self.service.settings.auth != "issued":
            return _ANY_TOKEN
        return self.service.mint.issue(self.service.clock.now(), TOKEN_LIFETIME)

    def as_text(self) -> str:
        """The page, the base URL, a curl command, the variables for OpenAI clients; then TLS and proxy, if they are on."""
        if self.record is not None:
            return f"{self._recorder_text()}{self._interception_text()}\nCtrl-C stops the server.\n"
        base, token, ruleset = self._base_url(), self._api_key(), self.service.ruleset
        names = ", ".join(f'"{name}"' for name in ruleset.scenarios)
        workers = f", {self.workers} workers" if self.workers > 1 else ""
        sizes = [count(len(ruleset.written), "rule")] if ruleset.written else []
        if ruleset.recordings:
            exchanges = sum(len(rule.recorded) for one in ruleset.recordings for rule in one.rules)
            sizes.insert(0, count(exchanges, "recorded exchange"))
        size = ", ".join(sizes or ["0 rules"]) + workers
        body = shlex.quote(json.dumps(example_request(ruleset), ensure_ascii=False))
        text = (
            f"vertex-emulator {__version__} serves {names} ({size}) at {self.url}\n"
            f"\nThe page that shows what happens:\n  {self._page_url()}\n"
            f"\nBase URL (any project, location and endpoint will do):\n  {base}\n"
            f"\nTry it:\n  curl {base}/chat/completions \\\n"
            f"    -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n    -d {body}\n"
            f"\nFor OpenAI clients:\n  export OPENAI_BASE_URL={base}\n  export OPENAI_API_KEY={token}\n"
        )
        return f"{text}{self._interception_text()}\nCtrl-C stops the server.\n"

    def _recorder_text(self) -> str:
        """What is forwarded and recorded where; the clients' tokens are their own."""
        from emulator.server.listening import base_url

        base = base_url(self.url, "PROJECT", "LOCATION")
        return (
            f"vertex-emulator {__version__} forwards all requests from {self.url} to {self.upstream or 'Google'}\n"
            f"and records what is said in {self.record}\n"
            f"\nFor OpenAI clients, with your project and location:\n  export OPENAI_BASE_URL={base}\n"
            '  export OPENAI_API_KEY="$(gcloud auth print-access-token)"\n'
        )

    def _interception_text(self) -> str:
        if self.interception is None:
            return ""
        text = f"\nUnder TLS: {self.interception.tls_url}\n"
        text += f"  its certificate authority: {self.interception.certificate}\n"
        if self.interception.client is not None:
            from emulator.intercept.environment import shell_lines

            lines = "".join(f"  {line}\n" for line in shell_lines(self.interception.client))
            text += f"\nFor unchanged programs:\n{lines}"
        return text

    def _page_url(self) -> str:
        from emulator.server.settings import CONTROL_PATH

        return f"{self.url}{CONTROL_PATH}"

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
            "page_url": self._page_url(),
            "environment": {"OPENAI_BASE_URL": base, "OPENAI_API_KEY": token},
            "version": __version__,
            "pid": os.getpid(),
            "workers": self.workers,
        }
        if self.record is not None:
            # Tokens are what the upstream wants.
            del fields["api_key"], fields["environment"]["OPENAI_API_KEY"]
            fields |= {"recording": str(self.record), "upstream": self.upstream}
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


_ANY_TOKEN = "any-token"  # noqa: S105  # no secret: every token is accepted
MAX_TRIED = 100
"""Rules that an example request is looked for with."""
_MAX_EXAMPLE = 500
"""Characters of an example request's texts."""
_QUOTED = (r'"([^"\x00-\x1f]*)"', r'"([^\x00-\x1f]*)"')
"""What is tried as a text that a condition names: what stands in the first pair of quotes, and between the first and the last."""
_MODEL = "google/gemini-3.5-flash"
_IMAGE_MODEL = "google/gemini-2.5-flash-image"
_PLAIN = {"model", "messages", "stream"}


def example_request(ruleset: "Ruleset") -> dict[str, Any]:
    """A request that the first rule answers whose `when` is easily met, if possible by a text; if there is none, a greeting."""
    from emulator.engine.matching.choose import choose
    from emulator.engine.request.facts import Facts
    from emulator.engine.session import State
    from emulator.errors import AnswerError
    from emulator.wire.urls import Target

    if (recorded := next((found for one in ruleset.recordings if (found := one.example)), None)) is not None:
        return recorded
    target = Target("v1", "demo", "global", "openapi")
    proposed = [(rule, _propose(rule, pattern)) for rule in ruleset.written[:MAX_TRIED] for pattern in _QUOTED]
    # A text is easier to read than a request with tools, so that comes first.
    for is_plain in (True, False):
        for rule, request in proposed:
            if is_plain is not (request.keys() <= _PLAIN):
                continue
            try:
                chosen = choose(ruleset, Facts(target, (), request), State())  # type: ignore[arg-type]  # a chat request
            except AnswerError:
                continue
            if chosen is not None and chosen.rule is rule and "/" in request["model"]:
                return request
    return {"model": _MODEL, "messages": [{"role": "user", "content": "Hello"}]}


def _propose(rule: "CompiledRule", quoted: str) -> dict[str, Any]:
    """A request that may fit a rule: the texts that its conditions name, which need not be all that they want."""
    named = {one.field: _find_text(quoted, one.wanted) for one in rule.conditions}
    if rule.conversation is not None:
        named.setdefault("last_user", _find_text(quoted, rule.conversation.matchers[0].describe()))
    wanted_tools = [one.wanted for one in rule.conditions if one.field == "tools" and one.wanted != _NO_TOOLS]
    messages = [{"role": "system", "content": named["system"]}] if named.get("system") else []
    text = named.get("last_user") or named.get("any_user") or (_QUESTION if wanted_tools else "Hello")
    request: dict[str, Any] = {
        "model": _find_model(named.get("model") or _MODEL),
        "messages": [*messages, {"role": "user", "content": text}],
    }
    if wanted_tools:
        request["tools"] = [_make_tool(_find_text(quoted, wanted) or "get_weather") for wanted in wanted_tools]
    if "response_format" in named:
        request["response_format"] = _make_format(named["response_format"])
    for one in rule.conditions:
        if one.field == "modalities":
            request["modalities"] = one.wanted.split(" and ")
            if "image" in one.wanted and "model" not in named:
                request["model"] = _IMAGE_MODEL
        if one.field == "stream" and one.wanted == "true":
            request["stream"] = True
    return request


_NO_TOOLS = "no tools declared"
_QUESTION = "What is the weather in Oslo?"
_OBJECT = {"type": "object", "properties": {"city": {"type": "string"}}}


def _find_model(glob: str) -> str:
    """A model of the catalogue that a glob in `when` means, or the name that it is."""
    from fnmatch import fnmatchcase

    from emulator.catalogue.models import all_models

    if not set("*?[") & set(glob):
        return glob
    return next((card.id for card in all_models() if fnmatchcase(card.id, glob) and not card.retired), _MODEL)


def _make_tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": _OBJECT}}


def _make_format(wanted: str) -> dict[str, Any]:
    """The `response_format` that a condition means: a type, a MIME type, or the name of a schema."""
    if wanted in ("text", "json_object"):
        return {"type": wanted}
    if wanted == "application/json":
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "json_schema": {"name": "city" if wanted in ("", "json_schema") else wanted, "schema": _OBJECT},
    }


def _find_text(quoted: str, wanted: str) -> str:
    """The text in quotes of what a condition wants; empty if there is none."""
    found = re.search(quoted, wanted)
    return found[1][:_MAX_EXAMPLE] if found else ""
