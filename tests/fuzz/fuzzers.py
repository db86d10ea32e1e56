"""The fuzzers: each makes one case from a `Random`, sends it to a server, and raises `FlawError` if the answer is one that must never be."""

import json
import string
import sys
from collections.abc import Callable, Mapping
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from tests.fuzz.corpus import (
    BASE,
    BODIES,
    CONTROL_PATHS,
    CONTROL_QUERIES,
    METHODS,
    SCENARIO_WORDS,
    SCENARIOS,
    TEMPLATE_BLOCKS,
    TEMPLATE_PIECES,
    TEMPLATE_TAILS,
    TOKEN_BODIES,
    TOKEN_PATHS,
)
from tests.fuzz.mutation import HOSTILE_TEXTS, dump, hostile_value, mutate_bytes, mutate_json, mutate_lines
from tests.fuzz.target import Answer, FlawError, Target

JSON_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer ya29.fuzz"}
_ASK = json.dumps(
    {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello aaaa"}]}
).encode()


def fuzz_body(random: Random, target: Target) -> None:
    """A mutated body for one of the routes, the token endpoints among them."""
    if random.random() < 0.1:
        fields = mutate_json(random.choice(TOKEN_BODIES), random, random.choice((0, 1, 2, 4)))
        path = random.choice(TOKEN_PATHS)
        if random.random() < 0.5:
            answer = target.send("POST", path, dump(fields, random), {"Content-Type": "application/json"})
        else:
            pairs = fields if isinstance(fields, dict) else {"a": fields}
            form = urlencode({key: str(value) for key, value in pairs.items()}, errors="surrogatepass").encode()
            answer = target.send(
                "POST", path, form, {"Content-Type": "application/x-www-form-urlencoded", "Metadata-Flavor": "Google"}
            )
    else:
        method, body = random.choice(BODIES)
        data = dump(mutate_json(body, random, random.choice((1, 1, 2, 3, 6))), random)
        answer = target.send("POST", f"{BASE}/{method}", data, JSON_HEADERS)
    _expect_no_failure(answer)


def fuzz_head(random: Random, target: Target) -> None:
    """Mutated bytes of one or several requests, cut into pieces at random."""
    requests = [_request_bytes(random) for _ in range(random.choice((1, 1, 2, 4)))]
    data = b"".join(requests)
    if random.random() < 0.8:
        data = mutate_bytes(data, random, random.choice((1, 1, 2, 5)))
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.choice((0, 0, 1, 3))))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    received = target.send_bytes([piece for piece in pieces if piece])
    if received and not received.startswith(b"HTTP/1.1 ") and not received.startswith(b"HTTP/1.0 "):
        raise FlawError(f"what came back is no HTTP: {received[:200]!r}")
    if b"emulator_mistake" in received or b"HTTP/1.1 5" in received:
        raise FlawError(f"a failure came back: {received[:2000]!r}")


def _request_bytes(random: Random) -> bytes:
    method, body = random.choice(BODIES)
    data = json.dumps(body).encode()
    headers = ["Host: localhost", "Authorization: Bearer ya29.fuzz"]
    if random.random() < 0.7:
        headers.append(f"Content-Length: {len(data)}")
        sent = data
    else:
        headers.append("Transfer-Encoding: chunked")
        middle = random.randrange(len(data))
        sent = (
            b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:middle], data[middle:]) if part)
            + b"0\r\n\r\n"
        )
    odd = (
        "Connection: close",
        "Connection: Upgrade",
        "Upgrade: h2c",
        "Expect: 100-continue",
        "Content-Length: 3",
        "Transfer-Encoding: gzip",
        "X: " + "a" * 70_000,
        "X: a\r\n folded",
        "content-length: 3, 3",
        "Transfer-Encoding: chunked, chunked",
        "Host: user:password@[::1]:99999",
        "x-goog-user-project: \u00ff",
        "X-Vertex-AI-LLM-Request-Type: dedicated",
        "x-emulator-pace: slow-train",
    )
    headers += random.sample(odd, random.choice((0, 0, 1, 2)))
    # Clients differ in the order and the case of what they send.
    order = random.randrange(3)
    if order == 0:
        headers = ["connection: keep-alive", *sorted(headers, key=str.lower, reverse=True)]
    else:
        random.shuffle(headers)
    if order == 1:
        headers = [header.lower() for header in headers]
    line = f"{random.choice(('POST', 'POST', 'GET', 'HEAD'))} {BASE}/{method} HTTP/{random.choice(('1.1', '1.1', '1.0', '2.0'))}"
    return "\r\n".join([line, *headers, "", ""]).encode() + sent


def fuzz_scenario(random: Random, target: Target) -> None:
    """A mutated scenario file, pushed to a session; if it is taken, it has to answer a request."""
    text = mutate_lines(random.choice(SCENARIOS), random, random.choice((0, 1, 1, 2, 4, 8)), SCENARIO_WORDS)
    data = text.encode("utf-8", "surrogatepass")
    if random.random() < 0.1:
        data = mutate_bytes(data, random, 2)
    _push_and_ask(data, target)


def fuzz_template(random: Random, target: Target) -> None:
    """A template put together at random, as reply or header of a pushed scenario."""
    expression = random.choice(TEMPLATE_PIECES)
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        tail = random.choice(TEMPLATE_TAILS)
        expression = f"({expression}){tail}" if random.random() < 0.3 else f"{expression}{tail}"
    template = f"{{{{ {expression} }}}}"
    for _ in range(random.choice((0, 0, 1, 2))):
        inner = template if random.random() < 0.5 else expression
        template = random.choice(TEMPLATE_BLOCKS) % inner
    rule = {"reply": template} if random.random() < 0.8 else {"headers": {"x-a": template}, "reply": "ok"}
    _push_and_ask(json.dumps({"rules": [rule]}).encode(), target)


def _push_and_ask(scenario: bytes, target: Target) -> None:
    pushed = target.send("PUT", "/__emulator__/scenario?session=fuzz", scenario, {})
    if pushed.status not in {204, 400, 413}:
        raise FlawError(f"the scenario got {pushed.status}: {pushed.body[:2000]!r}")
    if pushed.status == 400:
        message = json.loads(pushed.body)["error"]["message"]
        if "<pushed for fuzz>" not in message:
            raise FlawError(f"a problem without a place: {message}")
        return
    body = _ASK
    # Scenarios that stall for ever would have to be waited for, and those that cut leave no answer.
    if not any(word in scenario for word in (b"stall", b"delay", b"pace", b"pause", b"quota", b"cut")):
        _expect_no_failure(target.send("POST", f"{BASE}/chat/completions", body, JSON_HEADERS), scripted=True)


def fuzz_control(random: Random, target: Target) -> None:
    """A request to the control path with mutated path, query, headers and body."""
    path = "/__emulator__/" + random.choice(CONTROL_PATHS)
    if random.random() < 0.2:
        path = quote(mutate_bytes(path.encode(), random, 1))
        path = path if path.startswith("/") else f"/{path}"
    query = random.choice(CONTROL_QUERIES)
    headers: dict[str, str] = {}
    if random.random() < 0.3:
        header = random.choice(("Origin", "Host", "Authorization", "Content-Type", "Accept"))
        headers[header] = random.choice(
            ("", "null", "http://evil.example", "Bearer", "bearer x", "Bearer \xff", "localhost:1:2", "[::1", "*/*")
        )
    value = hostile_value(random)
    data = random.choice((b"", dump(value, random), random.choice(HOSTILE_TEXTS).encode("utf-8", "surrogatepass")))
    answer = target.send(random.choice(METHODS), f"{path}?{query}" if query else path, data, headers)
    if answer.status >= 500 or answer.status == 418:
        raise FlawError(f"it got {answer.status}: {answer.body[:2000]!r}")
    if random.random() < 0.02:
        _expect_readable_journal(target)


def _expect_no_failure(answer: Answer, *, scripted: bool = False) -> None:
    """Raise FlawError for an answer that no request may get; a scenario may script errors of Google's with status 500 and more."""
    if b"emulator_mistake" in answer.body:
        raise FlawError(f"emulator_mistake: {answer.body[:2000]!r}")
    if answer.status >= 500 and not scripted:
        raise FlawError(f"it got {answer.status}: {answer.body[:2000]!r}")
    for name, value in answer.headers.items():
        if len(value) > 4096 or not set(value).issubset(_HEADER_CHARACTERS):
            raise FlawError(f"the header {name} has {len(value)} characters: {value[:200]!r}")


_HEADER_CHARACTERS = frozenset(string.printable) - frozenset("\r\n\x0b\x0c") | {chr(code) for code in range(160, 256)}


def _expect_readable_journal(target: Target) -> None:
    answer = target.send("GET", "/__emulator__/journal", b"", {})
    if answer.status != 200:
        raise FlawError(f"the journal got {answer.status}: {answer.body[:2000]!r}")

    def refuse(constant: str) -> Any:
        raise FlawError(f"the journal holds {constant}")

    json.loads(answer.body, parse_constant=refuse)


_CASE_DEPTH = 20_000
Fuzzer = Callable[[Random, Target], None]
FUZZERS: Mapping[str, Fuzzer] = {
    "bodies": fuzz_body,
    "heads": fuzz_head,
    "scenarios": fuzz_scenario,
    "templates": fuzz_template,
    "control": fuzz_control,
}


def run_cases(name: str, seed: str, numbers: range, target: Target, *, every: int = 200) -> None:
    """Run cases of a fuzzer, looking after the server every so often. Raises FlawError with the command that runs the case again."""
    fuzz = FUZZERS[name]
    number = numbers.start
    limit = sys.getrecursionlimit()
    # Cases are nested more deeply than Python's json writes otherwise.
    sys.setrecursionlimit(_CASE_DEPTH)
    try:
        for number in numbers:
            fuzz(Random(f"{seed}:{name}:{number}"), target)  # noqa: S311  # cases, not secrets
            if number % every == every - 1:
                target.check()
                _expect_readable_journal(target)
        target.check()
    except FlawError as flaw:
        raise FlawError(f"{flaw}\nagain: python -m tests.fuzz {name} --seed {seed} --only {number}") from flaw
    finally:
        sys.setrecursionlimit(limit)
