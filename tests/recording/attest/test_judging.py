"""How answers are judged: what refuses, what contradicts, and that no answer of a hostile upstream is too much."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.catalogue.errors import all_errors
from emulator.errors import StartError
from emulator.recording.attest.asking import Client
from emulator.recording.attest.judging import MAX_SILENT, Judge, Judgement
from emulator.recording.attest.probes import Probe, all_probes
from emulator.recording.recording import Frame, RecordedAnswer, RecordedRequest
from emulator.recording.secrets import Secrets

CLIENT = Client("the-project-1", "global", "ya29.the-secret-token")
PLAIN = Probe.model_validate({"row": "r", "request": {}, "expect": {"body": {"choices": "list"}}})
REFUSED = Probe.model_validate(
    {"row": "r", "request": {"body": {"n": 9}}, "expect": {"error": "candidate_count_range"}}
)
STREAMED = Probe.model_validate({"row": "r", "request": {"body": {"stream": True}}, "expect": {"body": {"done": True}}})


def answered(
    status: int, body: str | bytes = "", kind: str = "application/json", end: Any = "complete"
) -> RecordedAnswer:
    """An answer."""
    data = body if isinstance(body, bytes) else body.encode()
    return RecordedAnswer(status, (("content-type", kind),), 0.0, (Frame(0.0, data),), end, 0.0)


def judge(probe: Probe, *answers: RecordedAnswer, **settings: Any) -> Judgement:
    """Judge a probe whose requests get these answers."""
    left = iter(answers)
    return Judge(CLIENT, lambda _request: next(left), **settings).judge(probe)


def error(name: str) -> str:
    """An error of the catalogue as a body."""
    (found,) = (one for one in all_errors() if one.name == name)
    return json.dumps([{"error": {"code": found.code, "message": found.message, "status": found.status}}])


@pytest.mark.parametrize(
    ("probe", "answer", "result", "detail"),
    [
        (PLAIN, answered(200, '{"choices": []}'), "holds", ""),
        (PLAIN, answered(200, "{}"), "differs", "choices: expected list, found nothing"),
        (PLAIN, answered(200, "<html>busy</html>", "text/html"), "differs", "body: expected a JSON object, found <html>busy</html>"),
        (PLAIN, answered(200, b"\xff\x00\x1b[31m"), "differs", "body: expected a JSON object, found ���[31m"),
        (PLAIN, answered(200, '{"choices": []}', end="cut"), "refused", "the connection was closed within the answer, after 15 bytes"),
        (PLAIN, answered(400, error("generic_invalid_argument")), "differs", "status: expected 200, found 400 generic_invalid_argument: Request contains an invalid argument."),
        (PLAIN, answered(429, error("resource_exhausted_check_quota")), "refused", "429 resource_exhausted_check_quota: Resource has been exhausted (e.g. check quota)."),
        (PLAIN, answered(503, "no healthy upstream"), "refused", "503: no healthy upstream"),
        (PLAIN, answered(404, "<html>", "text/html"), "refused", "404: <html>"),
        (PLAIN, answered(0, "no answer within 1 seconds", end="unreachable"), "refused", "no answer within 1 seconds"),
        (REFUSED, answered(200, "{}"), "differs", "status: expected 400, found 200: {}"),
        (REFUSED, answered(400, "{}"), "differs", "body: expected an error object, found {}"),
        (REFUSED, answered(500, ""), "refused", "500"),
        (STREAMED, answered(200, "data: [DONE]\n\n", "text/event-stream"), "holds", ""),
        (STREAMED, answered(200, "data: {}\n\n", "text/event-stream"), "refused", "the stream ended without [DONE]"),
        (STREAMED, answered(200, "data: {}\n\n" + error("unavailable"), "text/event-stream"), "refused", "the stream broke off: 503 unavailable: The service is currently unavailable."),
    ],
)  # fmt: skip
def test_results(probe: Probe, answer: RecordedAnswer, result: str, detail: str) -> None:
    """What contradicts a claim differs; what has other reasons is a refusal."""
    found = judge(probe, answer)
    assert (found.result, found.detail) == (result, detail)


def test_answers_that_do_not_show_it_are_no_evidence() -> None:
    """Where the model did otherwise the row cannot be judged; nor where an earlier answer lacks what is sent back."""
    given_calls = {"given": {"choices.0.message.tool_calls": "list"}, "expect": {"body": {"a": "present"}}}
    found = judge(Probe.model_validate({"row": "r", **given_calls}), answered(200, '{"choices": [{"message": {}}]}'))
    assert found.result == "not testable"
    assert "the answer does not show it: choices.0.message.tool_calls" in found.detail
    back = {"request": {"body": {"messages": [{"$answer": 1, "at": "choices.0.message"}]}}}
    found = judge(Probe.model_validate({"row": "r", "steps": [{}, back]}), answered(200, '{"choices": []}'))
    assert (found.result, found.detail) == ("not testable", "the answer to request 1 has no choices.0.message")


def test_404s_contradict_where_the_path_is_the_claim() -> None:
    """Elsewhere they say that a model is not to be had."""
    for differs, result in ((True, "differs"), (False, "refused")):
        probe = Probe.model_validate({"row": "r", "not_found_differs": differs})
        assert judge(probe, answered(404, error("publisher_model_not_found"))).result == result


def test_refused_credentials_end_the_run() -> None:
    """A 401 for the user's token is no matter of a row."""
    with pytest.raises(
        StartError, match=r"the service refuses the credentials \(401 invalid_token: .*\); log in again"
    ):
        judge(PLAIN, answered(401, error("invalid_token")))


def test_silence_ends_the_run() -> None:
    """After several requests without any answer no more are sent."""
    probes = [PLAIN.model_copy(update={"name": str(number), "once": True}) for number in range(9)]
    run = Judge(CLIENT, lambda _request: answered(0, "cannot reach it", end="unreachable")).run(probes)
    for _ in range(MAX_SILENT):
        assert next(run).result == "refused"
    with pytest.raises(StartError, match="no answer came 5 times in a row"):
        next(run)


def test_requests_wait_for_their_turn_and_are_sent_once() -> None:
    """With an interval the next request waits; the same request is not sent twice."""
    now, waits, sent = [0.0], list[float](), list[RecordedRequest]()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    def send(request: RecordedRequest) -> RecordedAnswer:
        sent.append(request)
        now[0] += 0.25
        return answered(200, '{"choices": []}')

    probes = [PLAIN, PLAIN.model_copy(update={"name": "again"}), REFUSED, STREAMED]
    assert len(list(Judge(CLIENT, send, 1.0, sleep=sleep, clock=lambda: now[0]).run(probes))) == 4
    assert len(sent) == 3
    assert waits == [0.75, 0.75]


def test_the_run_ends_before_it_costs_too_much() -> None:
    """What answers have cost is counted, and what the next is likely to cost."""
    usage = '{"choices": [], "usage": {"prompt_tokens": 1000000, "total_tokens": 1000000}}'
    probes = [PLAIN, STREAMED]
    for most, count in ((0.0, 0), (0.01, 1), (100.0, 2)):
        runs = Judge(CLIENT, lambda _request: answered(200, usage), max_cost=most)
        assert len(list(runs.run(probes))) == count


def test_secrets_are_not_in_what_is_found() -> None:
    """Neither token nor project, in differences and evidence, also where the service repeats them."""
    secrets = Secrets()
    secrets.learn("token", CLIENT.token)
    secrets.learn("project", CLIENT.project)
    body = json.dumps({"error": {"message": f"no {CLIENT.token} in projects/{CLIENT.project}/x", "status": "X"}})
    for status in (400, 503, 200):
        found = judge(PLAIN, answered(status, body), secrets=secrets)
        assert found.result in {"differs", "refused"}
        assert found.evidence is not None
        assert found.evidence.status == status
        assert CLIENT.token not in str(found)
        assert CLIENT.project not in str(found)


def test_errors_that_nobody_asked_for_are_kept() -> None:
    """With the catalogue's name, or as they are where it has none."""
    texts = iter(
        (error("out_of_capacity"), '{"error": {"code": 429, "message": "No more.", "status": "RESOURCE_EXHAUSTED"}}')
    )
    judging = Judge(CLIENT, lambda _request: answered(429, next(texts)))
    judging.judge(PLAIN)
    judging.judge(STREAMED)
    assert list(judging.known_errors) == ["out_of_capacity"]
    assert list(judging.unknown_errors) == ["429: No more."]


BODIES = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "message", "delta", "tool_calls", "error", "usage", "id"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode()),
    st.just(b"[" * 100_000),
    st.just(b'{"a":' * 500 + b"1" + b"}" * 500),
)
KINDS = st.sampled_from(["application/json", "text/event-stream", "text/html", ""])
TRIED = [probe for probe in all_probes().probes if not probe.row.startswith("model.")]


@given(st.sampled_from(TRIED), st.integers(200, 599), BODIES, KINDS, st.booleans())
def test_no_answer_is_too_much(probe: Probe, status: int, body: bytes, kind: str, as_event: bool) -> None:
    """Whatever comes back, each probe has a result, which can be written."""
    data = b"data: " + body + b"\n\ndata: [DONE]\n\n" if as_event else body
    answer: Callable[[RecordedRequest], RecordedAnswer] = lambda _request: answered(status, data, kind)  # noqa: E731  # its type is wanted
    if status == 401 and probe.steps[0].request.credentials == "own":
        with pytest.raises(StartError, match="refuses the credentials"):
            Judge(CLIENT, answer).judge(probe)
        return
    found = Judge(CLIENT, answer).judge(probe)
    assert found.result in {"holds", "differs", "refused", "not testable"}
    assert found.detail.isprintable()
