"""`vertex-emulator journal`."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from emulator.cli.control_client import get_control, note_other_sessions
from emulator.cli.options import option
from emulator.cli.output import exit_with_error
from emulator.errors import EmulatorError
from emulator.redaction import clean_line, escape_controls

_POLL_INTERVAL = 0.25
"""Seconds between two requests with --follow."""
_MAX_LINES = 200
"""Lines of one text that `journal NUMBER` shows."""
_LABEL_WIDTH = 12


@click.command()
@click.argument("number", required=False, type=click.IntRange(min=1))
@option("--url", default="http://127.0.0.1:8080", help="Where the emulator is.")
@option("--session", help="Only the exchanges of this project.")
@option("--control-token", help="Token of the control path, for emulators on other machines.")
@option("--follow", "-f", is_flag=True, help="Go on with those that follow, until Ctrl-C.")
@option("--json", "as_json", is_flag=True, help="Print everything that is known, one JSON object a line.")
def journal(
    *, number: int | None, url: str, control_token: str | None, session: str | None, follow: bool, as_json: bool
) -> None:
    """Print the exchanges of a running emulator.

    A line for each, the oldest first: number, time, project, model, what was asked, rule (or why none), status, what was answered,
    tokens, how long it took. What went wrong is said below it. NUMBER prints one exchange in full.
    """
    if number is not None and follow:
        raise click.UsageError("--follow goes on with what comes; it does not go with a number")
    after = 0
    try:
        while True:
            wanted = None if number is None else str(number)
            exchanges = get_control(url, "journal", control_token, session=session, number=wanted, after=str(after))
            for exchange in exchanges["exchanges"]:
                click.echo(_format(exchange, is_whole=number is not None, as_json=as_json))
                after = exchange["position"]
            if not follow:
                if not exchanges["exchanges"] and number is None:
                    note_other_sessions(url, control_token, session)
                break
            time.sleep(_POLL_INTERVAL)
    except EmulatorError as error:
        exit_with_error(error)
    except KeyboardInterrupt:
        # The documented way to end --follow, so the status is 0.
        return
    if number is not None and not after:
        exit_with_error(EmulatorError(f"exchange {number} is not in the journal, which keeps the last ones only"))


def _format(exchange: dict[str, Any], *, is_whole: bool, as_json: bool) -> str:
    from emulator.server.log import describe_json, wants_colour

    if as_json:
        return escape_controls(json.dumps(exchange, ensure_ascii=False))
    line = describe_json(exchange).render(is_coloured=wants_colour(sys.stdout))
    return "\n".join([line, *map(clean_line, show_whole(exchange))]) if is_whole else line


def show_whole(exchange: Mapping[str, Any]) -> list[str]:
    """One exchange, read from the control path, as lines for people: path, request, rule, answer and its times."""
    verb = exchange.get("method") or ("POST" if "host" in exchange else "")
    lines = ["", f"{verb} {exchange['path']}".lstrip()]
    if exchange.get("host"):
        lines.append(f"host: {exchange['host']}")
    if exchange["outcome"] == "unrouted":
        # Its body is not kept, and its answer is the 404 of its host.
        meant = _show("meant", exchange["nearest_url"]) if exchange["nearest_url"] else []
        return [*lines, "", "answered:", *_show("status", str(exchange["status"])), *meant]
    lines += ["", "asked:", *_show_request(exchange["request"]), "", "answered:"]
    if exchange["rule"]:
        reply = f", reply {exchange['reply']}" if exchange.get("reply") else ""
        lines += _show("rule", f'"{exchange["rule"]}", {exchange["place"]}{reply}')
    if refusal := exchange["refusal"]:
        lines += _show("refusal", ", ".join(part for part in (refusal["name"], refusal["place"]) if part))
    lines += _show("status", str(exchange["status"]))
    lines += _show_answer(exchange["answer"])
    if usage := exchange.get("usage"):
        lines += _show("usage", json.dumps(usage))
    lines += [
        line for name in ("ignored", "quirks") if exchange.get(name) for line in _show(name, ", ".join(exchange[name]))
    ]
    if exchange.get("timeline"):
        lines += _show_times(exchange["timeline"])
    ended = exchange["ended"]
    return [
        *lines,
        *_show("ended", ended if "sent_bytes" not in exchange else f"{ended}, {exchange['sent_bytes']} bytes sent"),
    ]


def _show(label: str, text: str) -> list[str]:
    """A labelled text, its further lines below the first; `_MAX_LINES` at most."""
    first, *rest = text.split("\n")
    shown = [
        f"  {f'{label} ':<{_LABEL_WIDTH}}{first}",
        *(f"  {'':<{_LABEL_WIDTH}}{line}" for line in rest[: _MAX_LINES - 1]),
    ]
    left = len(rest) - (_MAX_LINES - 1)
    return [*shown, f"  {'':<{_LABEL_WIDTH}}(and {left} more lines)"] if left > 0 else shown


def _show_request(request: Any) -> list[str]:
    """The messages one by one, then the other fields."""
    if not isinstance(request, dict):
        return _show("body", request if isinstance(request, str) else json.dumps(request, ensure_ascii=False))
    messages = request.get("messages")
    lines = [line for message in messages for line in _show_message(message)] if isinstance(messages, list) else []
    for name, value in request.items():
        if name != "messages" or not lines:
            lines += _show(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return lines


def _show_message(message: Any) -> list[str]:
    if not isinstance(message, dict):
        return _show("message", json.dumps(message, ensure_ascii=False))
    texts = [*_texts_of(message.get("content")), *_calls_of(message)]
    return _show(str(message.get("role", "message")), "\n".join(texts))


def _texts_of(content: Any) -> Iterator[str]:
    """The texts of a message's content; of pictures and sound the kind and the beginning."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]
            else:
                shown = json.dumps(part, ensure_ascii=False)
                yield shown if len(shown) <= 100 else f"{shown[:99]}…"  # noqa: PLR2004  # enough to know it by
    elif content is not None:
        yield json.dumps(content, ensure_ascii=False)


def _calls_of(message: Mapping[str, Any]) -> Iterator[str]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield f"{function.get('name') or ''}({function.get('arguments') or ''})"


def _show_answer(answer: Any) -> list[str]:
    """A plain answer's message and the events of a stream; what is neither stands as it was sent."""
    if not isinstance(answer, list):
        return _show("answer", json.dumps(answer, ensure_ascii=False))
    if len(answer) == 1 and not answer[0].startswith("data: "):
        try:
            choices = json.loads(answer[0])["choices"]
            return [
                line
                for choice in choices
                for line in [*_show_message(choice["message"]), *_show("finish", str(choice["finish_reason"]))]
            ]
        except (ValueError, KeyError, TypeError):
            return _show("body", answer[0].rstrip("\n"))
    return [
        line for number, event in enumerate(answer, start=1) for line in _show(f"event {number}", event.rstrip("\n"))
    ]


def _show_times(timeline: Mapping[str, Any]) -> list[str]:
    """When the parts were planned and sent, in milliseconds."""
    head = "never" if timeline["head_ms"] is None else f"{timeline['head_ms']:g} ms"
    lines = _show("head", f"planned {head}")
    sent = timeline["sent_ms"]
    for index, planned in enumerate(timeline["frames_ms"]):
        at = f"sent {sent[index]:g} ms" if index < len(sent) else "not sent"
        lines += _show(f"event {index + 1}", f"planned {planned:g} ms, {at}")
    return [*lines, *_show("end", f"planned {timeline['end_ms']:g} ms, {timeline['ending']}")]
