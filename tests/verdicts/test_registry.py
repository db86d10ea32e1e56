"""Verdicts: for each a client that makes the mistake, and one that does it right."""

import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.clock import ManualClock
from emulator.server.service import Service
from emulator.server.settings import Settings
from emulator.store.exchange import Exchange
from emulator.verdicts.costs import SHORT_RUN, VARIED_RUN
from emulator.verdicts.registry import KINDS, Verdict
from emulator.verdicts.requests import FRESH_TOKEN, TOKEN_RUN
from emulator.verdicts.retries import RETRY_WINDOW, STORM_RETRIES, STORM_WAIT
from emulator.verdicts.tool_calls import split_name
from emulator.wire.urls import Target

SCENARIO = """
rules:
  - {when: {last_user: overloaded}, reply: {fail: 429}}
  - {when: {last_user: forbidden}, reply: {fail: 403}}
  - {when: {last_user: cut}, reply: [{say: Half of it}, {cut: close}]}
  - {when: {last_user: breaks}, reply: [{say: Half of it}, {fail: 503}]}
  - when: {last_user: calls, after_tool: false}
    reply: [{call: get_time, with: {zone: CET}}, {call: get_weather, with: {city: Oslo}}]
  - {when: {last_user: waits}, reply: In a minute., fault: {stall: 60000}}
  - {when: {last_user: odd, after_tool: false}, reply: [{call: get_time, with: '{"zone": ', id: odd-1}]}
  - {when: {last_user: story}, reply: [{say: "Once upon a time there was Aimé, he sang.", chunks: ["Once ", "upon a time ", "there was ", "Aimé, ", "he sang."]}]}
  - {reply: All is well.}
"""
GEMINI = "google/gemini-3-pro-preview"
PRICED = "google/gemini-2.5-flash"
LONG_TEXT = "The quick brown fox jumps over the lazy dog. " * 400
SHORT_TEXT = "The quick brown fox jumps over the lazy dog. " * 130
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("get_time", "get_weather")]


class Client:
    """A client of a service."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        # Not vetted, so that a wrong client comes as far as with a server that is lenient.
        self.serve(Settings(vetting="off", quirks=frozenset({"signatures_off"})))
        self.endpoint = "openapi"
        self.bearer = "ya29.first"
        self.host = "127.0.0.1:8080"
        self.location = "europe-west1"
        self.user_agent = "OpenAI/Python 2.9.0"
        self.connection = 0

    def serve(self, settings: Settings) -> None:
        """Begin with a new service."""
        self.service = Service(compile_rules(read_text(SCENARIO).scenarios), settings, clock=self.clock)

    def send(self, content: str | list[Any], *, after: float = 1.0, headers: Any = (), **more: Any) -> Exchange:
        """Send a text or a conversation some seconds later, and read all of the answer, which takes a tenth of a second."""
        self.clock.advance(after)
        exchange = self.ask(content, **more)
        outcome = exchange.outcome
        timeline = outcome.timeline._replace(headers=(*outcome.timeline.headers, *headers))
        exchange.outcome = outcome._replace(timeline=timeline)
        exchange.duration = 0.1
        self.clock.advance(exchange.duration)
        self.service.finish(exchange)
        return exchange

    def ask(self, content: str | list[Any], **more: Any) -> Exchange:
        """Send without finishing."""
        messages = [{"role": "user", "content": content}] if isinstance(content, str) else content
        body = json.dumps({"model": GEMINI, "messages": messages, **more}).encode()
        headers = [(b"host", self.host.encode()), (b"authorization", f"Bearer {self.bearer}".encode())]
        headers.append((b"user-agent", self.user_agent.encode()))
        exchange = self.service.handle(Target("v1", "p", self.location, self.endpoint), b"", headers, body)
        exchange.sender = exchange.sender._replace(connection=self.connection)
        return exchange

    def call(self, text: str = "calls", **more: Any) -> list[Any]:
        """Get tool calls; return the conversation with the answer and all results, as a correct client sends it."""
        exchange = self.send(text, tools=TOOLS, **more)
        body = exchange.outcome.timeline.body
        if more.get("stream"):
            events = [json.loads(line[6:]) for line in body.decode().split("\n\n") if line.startswith("data: {")]
            deltas = [event["choices"][0]["delta"] for event in events]
            calls = [call for delta in deltas for call in delta.get("tool_calls") or ()]
            message: Any = {"role": "assistant", "tool_calls": calls}
        else:
            message = json.loads(body)["choices"][0]["message"]
        results = [{"role": "tool", "tool_call_id": call["id"], "content": "{}"} for call in message["tool_calls"]]
        return [{"role": "user", "content": text}, message, *results]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts on the client."""
        return self.service.verdicts("p")


def drop_signature(client: Client) -> None:
    """Rebuild the assistant's message from what the SDK has types for."""
    conversation = client.call()
    for call in conversation[1]["tool_calls"]:
        call.pop("extra_content", None)
    client.send(conversation)


def move_signature(client: Client) -> None:
    """Put the signature on the message instead of the call."""
    conversation = client.call()
    conversation[1]["extra_content"] = conversation[1]["tool_calls"][0].pop("extra_content")
    client.send(conversation)


def keep_signature(client: Client) -> None:
    """Send the message back unchanged."""
    client.send(client.call())


def truncate_signature(client: Client) -> None:
    """Store the signature in a field that is too short for it."""
    conversation = client.call()
    google = conversation[1]["tool_calls"][0]["extra_content"]["google"]
    google["thought_signature"] = google["thought_signature"][:32]
    client.send(conversation)


def edit_arguments(client: Client) -> None:
    """Fill in what the model left out."""
    conversation = client.call()
    conversation[1]["tool_calls"][0]["function"]["arguments"] = '{"zone": "CET", "format": "24h"}'
    client.send(conversation)


def edit_name(client: Client) -> None:
    """Send a call back under the name of the function that took its place."""
    conversation = client.call()
    conversation[1]["tool_calls"][0]["function"]["name"] = "read_clock"
    client.send(conversation)


def rewrite_arguments(client: Client) -> None:
    """Parse the arguments and write them anew."""
    conversation = client.call()
    function = conversation[1]["tool_calls"][0]["function"]
    function["arguments"] = json.dumps(json.loads(function["arguments"]), indent=2)
    client.send(conversation)


def join_ids(client: Client) -> None:
    """Append the ids of all calls, as if they were fragments."""
    conversation = client.call()
    first, second = conversation[1]["tool_calls"]
    first["id"] += second["id"]
    conversation[1]["tool_calls"] = [first]
    client.send([*conversation[:2], {"role": "tool", "tool_call_id": first["id"], "content": "{}"}])


def swap_arguments(client: Client) -> None:
    """Attach the arguments of each call to the other one."""
    conversation = client.call()
    first, second = (call["function"] for call in conversation[1]["tool_calls"])
    first["arguments"], second["arguments"] = second["arguments"], first["arguments"]
    client.send(conversation)


def swap_names(client: Client) -> None:
    """Attach the names of each call to the other one, as where ids are sorted."""
    conversation = client.call()
    first, second = (call["function"] for call in conversation[1]["tool_calls"])
    first["name"], second["name"] = second["name"], first["name"]
    client.send(conversation)


def keep_last_call(client: Client) -> None:
    """Write every streamed call over the one before, at index 0."""
    conversation = client.call(stream=True)
    conversation[1]["tool_calls"] = conversation[1]["tool_calls"][-1:]
    client.send([*conversation[:2], conversation[-1]])


def keep_streamed_calls(client: Client) -> None:
    """Collect all streamed calls; then answer them in messages of their own, and in another conversation only the first."""
    conversation = client.call(stream=True)
    client.send(conversation)
    one_by_one = [{"role": "assistant", "tool_calls": [call]} for call in conversation[1]["tool_calls"]]
    client.send([conversation[0], one_by_one[0], conversation[2], one_by_one[1], conversation[3]])
    client.send([conversation[0], one_by_one[0], conversation[2]])


def stream_story(client: Client, keep: Callable[[str], str]) -> None:
    """Send a streamed text back as it was kept."""
    client.send("story", stream=True)
    said = keep("Once upon a time there was Aimé, he sang.")
    user = {"role": "user", "content": "story"}
    system = {"role": "system", "content": "It is nine."}
    client.send([system, user, {"role": "assistant", "content": said}, {"role": "user", "content": "Go on"}])


def lose_last_chunk(client: Client) -> None:
    """Stop at the finish reason, whose chunk has text too."""
    stream_story(client, lambda text: text.removesuffix("he sang."))


def lose_first_chunk(client: Client) -> None:
    """Take the first chunk for one with the role only."""
    stream_story(client, lambda text: text.removeprefix("Once "))


def lose_middle_chunk(client: Client) -> None:
    """Lose a chunk that fell between two reads."""
    stream_story(client, lambda text: text.replace("there was ", ""))


def break_characters(client: Client) -> None:
    """Decode UTF-8 piece by piece."""
    stream_story(client, lambda text: text.replace("é", "\ufffd\ufffd"))


def keep_text(client: Client) -> None:
    """Send it back whole, trimmed, in an own summary, and for another branch of the conversation."""
    stream_story(client, lambda text: text)
    stream_story(client, lambda text: f"{text}\n")
    stream_story(client, lambda _: "A story about a frog.")
    client.send("story", stream=True)
    client.send([{"role": "user", "content": "story"}, {"role": "user", "content": "Another one"}])


def put_system_last(client: Client) -> None:
    """Append the instructions."""
    client.send([{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}])


def put_system_first(client: Client) -> None:
    """Begin with the instructions, and let an open model have the last word from the system."""
    client.send([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
    messages = [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}]
    client.send(messages, model="deepseek-ai/deepseek-v3.2-maas")


def get_refused(client: Client) -> None:
    """Send no messages."""
    client.service.settings = Settings()
    client.send([])


def get_refused_by_rule(client: Client) -> None:
    """Meet refusals that the scenario scripts."""
    client.service.settings = Settings()
    client.send("forbidden", model=PRICED)
    client.send("overloaded", model=PRICED)


def share_refusals(client: Client) -> None:
    """Two programs send the same; and two processes of one program, each over its connection, and later something else."""
    client.send("forbidden")
    client.user_agent = "Python/3.13 aiohttp/3.12.1"
    for text in ("forbidden", "Hello", "Bye"):
        for client.connection in (50_001, 50_002):
            client.send(text)


def run_again_after_miss(client: Client) -> None:
    """Mend the scenario after a miss, and start the program again."""
    client.service.push("p", "rules: [{when: {last_user: Hi}, reply: Hi}]")
    client.send("Hello")
    client.service.push("p", "rules: [{reply: Hi}]")
    client.send("Hello")


def retry_on_new_connection(client: Client) -> None:
    """Open a connection for each attempt."""
    for client.connection in (50_001, 50_002):
        client.send("forbidden")


def retry_beside_others(client: Client) -> None:
    """Retry over a new connection, while another process has its own."""
    client.connection = 50_001
    client.send("Hello")
    for client.connection in (50_002, 50_003):
        client.send("forbidden")
    client.connection = 50_001
    client.send("Hello")


def share_overload(client: Client) -> None:
    """Many workers are refused at nearly the same time, and each tries again in time over its connection."""
    workers = range(50_000, 50_003 + STORM_RETRIES)
    for client.connection in workers:
        client.send("overloaded", after=0.01, headers=[("retry-after", "5")])
    client.clock.advance(5)
    for client.connection in workers:
        client.send("overloaded", after=0.01)


def cut_storm(client: Client) -> None:
    """Start a stream that breaks off again and again, at once."""
    for _ in range(STORM_RETRIES + 1):
        client.send("cut", after=0.01, stream=True)


def restart_stream(client: Client) -> None:
    """Leave a stream and begin it anew."""
    leave(client)
    client.send("Hello", stream=True)


def restart_after_cut(client: Client) -> None:
    """Ask again after a stream that the server broke off."""
    client.send("breaks", stream=True)
    client.send("breaks", stream=True)


def give_up(client: Client) -> None:
    """Close the connection before the plain answer is there."""
    exchange = client.ask("Hello")
    exchange.played.ended, exchange.duration = "client left", 2.0
    client.service.finish(exchange)


def fetch_each_token(client: Client) -> None:
    """Refresh the credentials before every request."""
    for number in range(TOKEN_RUN):
        client.bearer = f"ya29.{number}"
        client.send(f"Hello {number}")


def reuse_tokens(client: Client) -> None:
    """Renew a token when it is old, and use each twice; a shell script asks anew for each."""
    for number in range(TOKEN_RUN):
        client.bearer = f"ya29.old-{number}"
        client.send(f"Hello {number}", after=FRESH_TOKEN + 1)
        client.bearer = f"ya29.{number // 2}"
        client.send(f"Hello {number}")
    client.user_agent = "curl/8.5.0"
    fetch_each_token(client)


def renew_after_401(client: Client) -> None:
    """Get a new token for one that has expired, and go on; a warning."""
    use_expired_token(client)
    client.bearer = client.service.mint.issue(client.clock.now())
    client.send("Hello")


def put_time_first(client: Client) -> None:
    """Begin each long prompt with the time."""
    for number in range(VARIED_RUN):
        client.send(f"It is 09:{number:02}. {LONG_TEXT}", model=PRICED)


def put_time_last(client: Client) -> None:
    """End long prompts with the time; ask short ones that begin with it; and different ones with a common end."""
    for number in range(VARIED_RUN + 1):
        client.send(f"{LONG_TEXT} It is 09:{number:02}.", model=PRICED)
        client.send(f"It is 09:{number:02}. Hello.", model=PRICED)
    for number in range(VARIED_RUN + 1):
        text = "".join(f"{number * at:x} " for at in range(4_000))
        client.send(f"{text} Summarise this.", model=PRICED)


def repeat_short_prompts(client: Client) -> None:
    """Begin many prompts with the same instructions, of nearly the size that is cached."""
    for number in range(SHORT_RUN):
        client.send(f"{SHORT_TEXT} Question {number}?", model=PRICED)


def go_on_talking(client: Client) -> None:
    """Have a conversation whose prompts grow through that size."""
    messages: list[Any] = [{"role": "user", "content": SHORT_TEXT}]
    for number in range(SHORT_RUN + 2):
        client.send(messages, model=PRICED)
        messages += [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": f"Number {number}?"}]


def think_too_much(client: Client) -> None:
    """Allow more thoughts than thoughts and answer together."""
    google = {"thinking_config": {"thinking_budget": 24_576}}
    client.send("Hello", model="google/gemini-2.5-flash", max_tokens=1024, extra_body={"google": google})


def think_enough(client: Client) -> None:
    """Leave room for the answer, or let the model decide."""
    for budget in (0, -1, 1024):
        google = {"thinking_config": {"thinking_budget": budget}}
        client.send("Hello", model="google/gemini-2.5-flash", max_tokens=4096, extra_body={"google": google})
    client.send("Hello", model="google/gemini-2.5-flash", max_tokens=100)


def forget_result(client: Client) -> None:
    """Send the result of one of two calls."""
    client.send(client.call()[:-1])


def join_names(client: Client) -> None:
    """Append the names of all calls, as if they were fragments."""
    conversation = client.call()
    first = conversation[1]["tool_calls"][0]
    first["function"]["name"] = "get_timeget_weather"
    client.send(conversation, tools=TOOLS)


def join_arguments(client: Client) -> None:
    """Append the arguments of all calls to those of the first."""
    conversation = client.call()
    first, second = conversation[1]["tool_calls"]
    first["function"]["arguments"] += second["function"]["arguments"]
    client.send(conversation)


def echo_odd_arguments(client: Client) -> None:
    """Send arguments back that the model itself did not write as JSON."""
    client.send(client.call("odd"))


def retry_refusal(client: Client) -> None:
    """Send the same again after 403."""
    client.send("forbidden")
    client.send("forbidden")


def renew_token(client: Client) -> None:
    """Send the same again with another token after 403, and once more much later."""
    client.send("forbidden")
    client.bearer = "ya29.second"
    client.send("forbidden")
    client.send("forbidden", after=RETRY_WINDOW + 1)


def ignore_retry_after(client: Client) -> None:
    """Retry after one second instead of five."""
    client.send("overloaded", headers=[("retry-after", "5")])
    client.send("overloaded")


def ignore_retry_date(client: Client) -> None:
    """The same, where the header has a date."""
    client.send("overloaded", headers=[("Retry-After", formatdate(client.clock.now() + 60, usegmt=True))])
    client.send("overloaded", after=30)


def heed_retry_after(client: Client) -> None:
    """Retry after five seconds, or at the date."""
    client.send("overloaded", headers=[("retry-after", "5")])
    client.send("overloaded", after=5, headers=[("Retry-After", formatdate(client.clock.now() + 60, usegmt=True))])
    client.send("overloaded", after=60)


def storm(client: Client) -> None:
    """Retry at once, again and again."""
    for _ in range(STORM_RETRIES + 1):
        client.send("overloaded", after=STORM_WAIT / 10)


def back_off(client: Client) -> None:
    """Retry as often, each time after a longer wait."""
    for attempt in range(STORM_RETRIES + 1):
        client.send("overloaded", after=0.5 * 2**attempt)


def accept_truncated(client: Client) -> None:
    """Send a truncated text back."""
    client.send("breaks", stream=True)
    said = {"role": "assistant", "content": "Half of it"}
    client.send([{"role": "user", "content": "breaks"}, said, {"role": "user", "content": "Go on"}])


def notice_truncated(client: Client) -> None:
    """Ask again, and send the complete text back."""
    client.send("breaks", stream=True)
    client.send("Another way", stream=True)
    said = {"role": "assistant", "content": "All is well."}
    client.send([{"role": "user", "content": "Another way"}, said, {"role": "user", "content": "Go on"}])


def leave(client: Client) -> None:
    """Close the connection in the middle."""
    exchange = client.ask("Hello", stream=True)
    exchange.played.ended = "client left"
    client.service.finish(exchange)


def leave_stalled(client: Client) -> None:
    """Close the connection because nothing comes, as a fault wants it."""
    for stream in (True, False):
        exchange = client.ask("It waits", stream=stream)
        exchange.played.ended = "client left"
        client.service.finish(exchange)


def read_all(client: Client) -> None:
    """Read a stream to its end."""
    client.send("Hello", stream=True, stream_options={"include_usage": True})


def send_unsupported(client: Client) -> None:
    """Send a parameter of OpenAI's own, twice."""
    client.send("Hello", store=True)
    client.send("Hello again", store=True)


def send_more_to_open_model(client: Client) -> None:
    """Send parameters that open models' servers accept."""
    client.send("Hello", model="deepseek-ai/deepseek-v3.1-maas", chat_template_kwargs={"thinking": True})


def send_api_key(client: Client) -> None:
    """Send a key as bearer."""
    client.bearer = "AIzaSyA1234567890"
    client.send("Hello")


def use_expired_token(client: Client) -> None:
    """Keep a token for a day."""
    client.bearer = client.service.mint.issue(client.clock.now())
    client.send("Hello", after=86_400)


def use_fresh_token(client: Client) -> None:
    """Send a valid token."""
    client.bearer = client.service.mint.issue(client.clock.now())
    client.send("Hello")


def leave_publisher_out(client: Client) -> None:
    """Send a bare model."""
    client.send("Hello", model="gemini-2.5-flash")


def send_resource_path(client: Client) -> None:
    """Send a model as other routes name it."""
    client.send("Hello", model="publishers/google/models/gemini-3.5-flash")


def ask_vetted(client: Client, model: str, location: str = "global", endpoint: str = "openapi") -> None:
    """Send a request to a server that refuses what Vertex refuses."""
    client.serve(Settings())
    client.location, client.endpoint = location, endpoint
    client.send("Hello", model=model)


def misspell_model(client: Client) -> None:
    """Write it with a hyphen for the dot."""
    ask_vetted(client, "google/gemini-3-5-flash")


def ask_elsewhere(client: Client) -> None:
    """Ask where the model is not served."""
    ask_vetted(client, "google/gemini-3.5-flash", "us-west1")


def ask_newer_model(client: Client) -> None:
    """Ask for a model that the catalogue may not know yet."""
    ask_vetted(client, "google/gemini-9-flash-lite")


def ask_current_model(client: Client) -> None:
    """Ask for a model where it is served."""
    ask_vetted(client, "google/gemini-3.5-flash")


def misspell_location(client: Client) -> None:
    """Leave out a letter, at the host that serves all locations."""
    client.host = "aiplatform.googleapis.com"
    ask_vetted(client, "google/gemini-3.5-flash", "gobal")


def ask_newer_location(client: Client) -> None:
    """Ask in a location that the catalogue may not know yet."""
    client.host = "aiplatform.googleapis.com"
    ask_vetted(client, "google/gemini-3.5-flash", "us-central9")


def lose_location(client: Client) -> None:
    """Write a variable into the URL that is not set."""
    ask_vetted(client, "google/gemini-3.5-flash", "None")


def misspell_endpoint(client: Client) -> None:
    """Write what the route is compatible with."""
    ask_vetted(client, "google/gemini-3.5-flash", endpoint="openai")


def ask_deployed_endpoint(client: Client) -> None:
    """Ask an endpoint by its id."""
    ask_vetted(client, "google/gemini-3.5-flash", endpoint="4711")


def invent_host(client: Client) -> None:
    """Put the name of a location in front where there is no such host."""
    client.location, client.host = "eu", "eu-aiplatform.googleapis.com"
    client.send("Hello")


def misspell_host(client: Client) -> None:
    """Exchange two letters."""
    client.location, client.host = "global", "aiplatfrom.googleapis.com"
    client.send("Hello")


def invent_global_host(client: Client) -> None:
    """Put `global` in front, the commonest mistake."""
    client.location, client.host = "global", "global-aiplatform.googleapis.com"
    client.send("Hello")


def mistake_host(client: Client) -> None:
    """Send a request for one region to another region's host."""
    client.host = "us-central1-aiplatform.googleapis.com:443"
    client.send("Hello")


def hit_hosts(client: Client) -> None:
    """Send each host a request for its own location."""
    hosts = {
        "europe-west1": "europe-west1-aiplatform.googleapis.com",
        "global": "aiplatform.googleapis.com",
        "eu": "aiplatform.eu.rep.googleapis.com",
        "us-central1": "localhost",
    }
    for client.location, client.host in hosts.items():
        client.send("Hello")
    # The global host serves the paths of all locations.
    client.location, client.host = "us-east5", "aiplatform.googleapis.com"
    client.send("Hello")


Behaviour = Callable[[Client], None]

CASES: list[tuple[str, Behaviour, Behaviour]] = [
    ("thought_signature_dropped", drop_signature, keep_signature),
    ("thought_signature_truncated", truncate_signature, keep_signature),
    ("thought_signature_moved", move_signature, keep_signature),
    ("signed_call_edited", edit_arguments, rewrite_arguments),
    ("signed_call_edited", edit_name, rewrite_arguments),
    ("tool_result_missing", forget_result, keep_signature),
    ("tool_name_concatenated", join_names, keep_signature),
    ("tool_ids_joined", join_ids, keep_signature),
    ("tool_calls_mixed_up", swap_arguments, keep_streamed_calls),
    ("tool_calls_mixed_up", swap_names, keep_streamed_calls),
    ("tool_calls_mixed_up", keep_last_call, keep_streamed_calls),
    ("tool_arguments_not_json", join_arguments, echo_odd_arguments),
    ("streamed_text_lost", lose_last_chunk, keep_text),
    ("streamed_text_lost", lose_first_chunk, keep_text),
    ("streamed_text_lost", lose_middle_chunk, keep_text),
    ("streamed_text_lost", break_characters, keep_text),
    ("system_message_last", put_system_last, put_system_first),
    ("request_refused", get_refused, get_refused_by_rule),
    ("refusal_retried", retry_refusal, renew_token),
    ("refusal_retried", retry_on_new_connection, share_refusals),
    ("refusal_retried", retry_beside_others, share_refusals),
    ("refusal_retried", retry_refusal, run_again_after_miss),
    ("retry_after_ignored", ignore_retry_after, heed_retry_after),
    ("retry_after_ignored", ignore_retry_date, heed_retry_after),
    ("retry_storm", storm, back_off),
    ("retry_storm", storm, share_overload),
    ("retry_storm", cut_storm, restart_after_cut),
    ("truncated_stream_accepted", accept_truncated, notice_truncated),
    ("stream_restarted", restart_stream, restart_after_cut),
    ("stream_not_read", leave, read_all),
    ("stream_not_read", leave, leave_stalled),
    ("request_given_up", give_up, leave_stalled),
    ("unsupported_parameter", send_unsupported, send_more_to_open_model),
    ("api_key_sent", send_api_key, read_all),
    ("expired_token_used", use_expired_token, use_fresh_token),
    ("expired_token_used", renew_after_401, use_fresh_token),
    ("token_for_each_request", fetch_each_token, reuse_tokens),
    ("model_without_publisher", leave_publisher_out, read_all),
    ("model_without_publisher", send_resource_path, read_all),
    ("model_not_found", misspell_model, ask_current_model),
    ("model_not_found", ask_elsewhere, ask_current_model),
    ("model_unknown", ask_newer_model, ask_current_model),
    ("endpoint_misspelt", misspell_endpoint, ask_deployed_endpoint),
    ("location_misspelt", misspell_location, ask_newer_location),
    ("id_missing", lose_location, ask_current_model),
    ("wrong_host", mistake_host, hit_hosts),
    ("wrong_host", invent_host, hit_hosts),
    ("wrong_host", misspell_host, hit_hosts),
    ("wrong_host", invent_global_host, hit_hosts),
    ("prompt_start_varies", put_time_first, put_time_last),
    ("prompt_below_cache_minimum", repeat_short_prompts, go_on_talking),
    ("thinking_crowds_out_answer", think_too_much, think_enough),
]


def test_every_kind_has_its_clients() -> None:
    """Every verdict has a test case."""
    assert list(dict.fromkeys(name for name, *_ in CASES)) == [kind.name for kind in KINDS]


@pytest.mark.parametrize(("name", "wrong", "right"), CASES)
def test_wrong_client_gets_the_verdict_and_right_client_does_not(name: str, wrong: Behaviour, right: Behaviour) -> None:
    """The wrong client gets this verdict and no other, the right one none at all."""
    client = Client()
    wrong(client)
    assert {verdict.name for verdict in client.verdicts} == {name}
    client = Client()
    right(client)
    assert client.verdicts == ()


def test_verdict_says_what_happened_and_what_to_do() -> None:
    """Name, severity, evidence, a sentence and advice."""
    client = Client()
    retry_refusal(client)
    client.send("forbidden")
    assert "; ".join(map(str, client.verdicts)) == (
        "error: refusal_retried (#1, #2, #3): the same body was sent again after status 403; "
        "do not retry what the same request meets again; change the request, or for 401 and 403 the token"
    )


def test_repeated_mistakes_are_one_verdict() -> None:
    """It lists all exchanges."""
    client = Client()
    send_unsupported(client)
    assert [verdict.exchanges for verdict in client.verdicts] == [(1, 2)]


def test_tolerated_mistakes_are_warnings() -> None:
    """A signature dropped on a model that does not enforce them, or in an earlier turn, and a bare model that is answered."""
    client = Client()
    conversation = client.call(model="google/gemini-2.5-flash")
    conversation[1]["tool_calls"][0].pop("extra_content")
    client.send(conversation, model="google/gemini-2.5-flash")
    conversation = client.call()
    conversation[1]["tool_calls"][0].pop("extra_content")
    client.send([*conversation, {"role": "user", "content": "Thanks"}])
    leave_publisher_out(client)
    assert [verdict.severity for verdict in client.verdicts] == ["warning"] * 3
    sentences = " ".join(verdict.sentence for verdict in client.verdicts)
    assert "and Gemini 3 would refuse" in sentences
    assert "it is of an earlier turn, which Vertex does not check" in sentences


def test_refused_bare_model_is_an_error() -> None:
    """A bare model is refused with vetting on."""
    client = Client()
    client.service.settings = Settings()
    leave_publisher_out(client)
    assert [verdict.severity for verdict in client.verdicts] == ["error"]


def test_other_threads_are_no_storm() -> None:
    """The same body from many threads at once is no retry, though all are refused."""
    client = Client()
    started = [client.ask("overloaded") for _ in range(10)]
    for exchange in started:
        exchange.duration = 0.1
        client.service.finish(exchange)
    assert client.verdicts == ()


def test_results_are_counted_without_ids() -> None:
    """Where calls have no ids, each needs one message behind it."""
    calls = [{"function": {"name": name, "arguments": "{}"}} for name in ("get_time", "get_weather")]
    conversation: list[Any] = [{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": calls}]
    result = {"role": "tool", "content": "{}"}
    client = Client()
    client.send([*conversation, result, result])
    assert client.verdicts == ()
    client = Client()
    client.send([*conversation, result])
    assert [verdict.sentence for verdict in client.verdicts] == [
        "messages[1].tool_calls[1] calls get_weather, and the messages behind it lack its result"
    ]


def test_unreadable_bodies_are_skipped() -> None:
    """Bodies that are no JSON or have another shape raise nothing."""
    client = Client()
    for body in (
        b"{",
        b"[]",
        b'{"messages": 1}',
        b"",
        b"\xff",
        b'{"messages": [{"role": "assistant", "tool_calls": [{}]}]}',
    ):
        client.service.finish(client.service.handle(Target("v1", "p", "global", "openapi"), b"", [], body))
    assert {verdict.name for verdict in client.verdicts} <= {"tool_result_missing", "request_refused"}


@pytest.mark.parametrize("signature", [None, "", 1, [], {}, "other"])
def test_signatures_of_other_types_count_as_dropped(signature: Any) -> None:
    """Any JSON in place of the signature is a dropped signature."""
    client = Client()
    conversation = client.call()
    conversation[1]["tool_calls"][0]["extra_content"]["google"]["thought_signature"] = signature
    client.send(conversation)
    assert [verdict.name for verdict in client.verdicts] == ["thought_signature_dropped"]


def test_documented_bypass_is_no_mistake() -> None:
    """The documented bypass may replace a signature."""
    client = Client()
    conversation = client.call()
    google = conversation[1]["tool_calls"][0]["extra_content"]["google"]
    google["thought_signature"] = "skip_thought_signature_validator"
    client.send(conversation)
    assert client.verdicts == ()


@pytest.mark.parametrize("google", [{}, {"stream_function_call_arguments": True}])
def test_streamed_calls_are_reassembled(google: dict[str, Any]) -> None:
    """The signature of a streamed call is expected back like that of a plain one, its arguments in pieces or not."""
    client = Client()
    exchange = client.send("calls", tools=TOOLS, stream=True, extra_body={"google": google})
    events = [frame.data.removeprefix(b"data: ") for frame in exchange.outcome.timeline.frames[:-1]]
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events]
    names = {call["id"]: call["function"]["name"] for delta in deltas for call in delta.get("tool_calls") or ()}
    assert list(names.values()) == ["get_time", "get_weather"]
    plain = [{"id": id_, "function": {"name": name, "arguments": "{}"}} for id_, name in names.items()]
    results = [{"role": "tool", "tool_call_id": id_, "content": "{}"} for id_ in names]
    client.send([{"role": "user", "content": "calls"}, {"role": "assistant", "tool_calls": plain}, *results])
    assert [verdict.name for verdict in client.verdicts] == ["thought_signature_dropped"]


def test_sessions_are_judged_separately() -> None:
    """The same body in two projects is no retry."""
    client = Client()
    body = json.dumps({"model": GEMINI, "messages": [{"role": "user", "content": "forbidden"}]}).encode()
    for project in ("a", "b"):
        headers = [(b"authorization", b"Bearer ya29.x")]
        target = Target("v1", project, "global", "openapi")
        client.service.finish(client.service.handle(target, b"", headers, body))
    assert client.service.verdicts() == ()


@pytest.mark.parametrize(
    ("name", "parts"),
    [("aa", ("a", "a")), ("aba", ("a", "ba")), ("abc", ()), ("", ()), ("a" * 500 + "c", ())],
)
def test_names_are_split(name: str, parts: tuple[str, ...]) -> None:
    """A joined name is split into known names, quickly even if there are many splits."""
    assert split_name(name, {"a", "ba", "aa"} if parts != ("a", "a") else {"a"}) == parts
