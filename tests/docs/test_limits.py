"""docs/limits.md has the figures of the code."""

import re
from typing import Any

from emulator import budget as work_budget
from emulator import redaction
from emulator.catalogue import models
from emulator.cli import banner, explain
from emulator.cli.options import TOKEN_LIFETIME
from emulator.credentials import app as credentials
from emulator.engine import fake, ruleset
from emulator.engine import quota as buckets
from emulator.engine.matching import conditions, misses
from emulator.engine.reply import arguments, chunking, compose, json_prompts, limits, parts, prose
from emulator.engine.request import implicit_caching, open_turn, options, readings
from emulator.engine.request import tools as request_tools
from emulator.engine.sampling import patterns, sampler
from emulator.engine.vetting import messages, parameters, schemas
from emulator.http import connection, heads, write_buffer
from emulator.inspector import events, exports
from emulator.inspector.app import STATIC
from emulator.inspector.rows import MAX_READ_BODY
from emulator.recording import generalize, recorder, replay, secrets, sender, upstream
from emulator.recording.attest import judging
from emulator.scenario import loading, problems, steps
from emulator.scenario import patterns as scenario_patterns
from emulator.scenario import yaml as scenario_yaml
from emulator.scenario.checks import unreachable
from emulator.scenario.templates import prices, template
from emulator.server import control, lifetime, listening, log, long_work, metrics, tokens, unrouted
from emulator.server.settings import Settings
from emulator.store import exchange, interface, journal, sessions
from emulator.verdicts import tool_calls
from emulator.wire import headers, requests
from pytest_vertex_emulator import plugin, sweep

MIB = 1024 * 1024


def rows_that_the_page_keeps() -> int:
    """The constant of the page's script."""
    found = re.search(r"MAX_ROWS = ([\d_]+);", (STATIC / "state.js").read_text("utf-8"))
    assert found is not None
    return int(found[1])


def test_limits_are_those_of_the_code(assert_generated: Any) -> None:
    """Every bound of the table is read off the constant that holds it."""
    settings = Settings()
    rows = [
        ("a request's head", f"{heads.MAX_HEAD_BYTES // 1024} KiB", "431, and the connection ends; trailers likewise"),
        ("header lines of a request", f"{heads.MAX_HEAD_LINES:,}", "likewise"),
        (
            "time for a request's head, from its first byte",
            f"{settings.request_timeout:g} seconds (`--request-timeout`)",
            "408, and the connection ends",
        ),
        ("time for a request's body", f"{settings.request_timeout:g} seconds (likewise)", "likewise"),
        (
            "time without a request on an open connection",
            f"{settings.request_timeout:g} seconds (likewise)",
            "the connection is closed without a word",
        ),
        (
            "time without progress of a client that does not read the last answer of a connection",
            f"{settings.request_timeout:g} seconds (likewise)",
            "the connection is cut; a client that does not read another answer is waited for",
        ),
        ("a request's body", f"{settings.body_bytes // MIB} MiB", "413, as an HTML page"),
        (
            "values in a body: items of lists, fields of objects, and objects and lists themselves",
            f"{requests.MAX_VALUES:,}",
            "400, as for any invalid argument",
        ),
        (
            "work for a request on the event loop",
            (
                f"bodies of {long_work.LARGE_BODY // 1024} KiB, 1/{work_budget.SHORT_SHARE} of the work below, {chunking.FEW_CHUNKS:,} chunks, "
                f"{readings.MAX_SEARCH_SECONDS * 1000:g} ms of regular expressions"
            ),
            "it is done in a thread, for one request at a time, and others are answered meanwhile",
        ),
        (
            "some of a body that the server has not asked for yet",
            f"{connection.MAX_UNREAD_BYTES // 1024} KiB",
            "no more is received for now",
        ),
        (
            "what is received behind a request that is being answered (pipelining)",
            f"{connection.MAX_UNPARSED_BYTES // 1024} KiB",
            "no more is received until it is answered",
        ),
        (
            "pipelined requests answered before other connections have their turn",
            f"{connection.MAX_ANSWERS_PER_TURN}, or one whose answer is larger than {write_buffer.LARGE_BYTES // 1024} KiB",
            "the next come after the others; while a client does not read, none is answered",
        ),
        (
            f"answers larger than {write_buffer.LARGE_BYTES // 1024} KiB that are made in one turn of the event loop",
            "1, of all connections",
            "the next come in later turns, those of connections that have had none first",
        ),
        (
            "time for running answers once the server is told to end",
            f"{listening.GRACE} seconds (`--grace`)",
            (
                f"they are cut; {listening.CUT_TIMEOUT + lifetime.INTERRUPT_MARGIN:g} seconds later a request that"
                " keeps the server busy is interrupted; a second signal ends all at once"
            ),
        ),
        ("choices (`n`)", f"{models.MAX_CHOICES}", "400 `candidate_count_range`"),
        ("exchanges in the journal", f"{settings.journal_exchanges:,}", "the oldest leave"),
        (
            "the path of a request that nothing routes",
            f"{unrouted.MAX_PATH:,} characters",
            "the rest is not kept",
        ),
        (
            "what the exchanges in the journal take in memory",
            f"{settings.journal_bytes // MIB} MiB",
            "the oldest leave",
        ),
        (
            "a line that the log, the journal's texts, verdicts or reports show",
            f"{redaction.MAX_LINE:,} characters",
            "it is cut and ends with …",
        ),
        ("a body that is not JSON, as the journal shows it", f"{exchange.MAX_RAW_TEXT:,} characters", "likewise"),
        ("a Host header that is kept", f"{redaction.MAX_HOST} characters", "likewise"),
        ("a field of a token request that is kept", f"{redaction.MAX_FIELD} characters", "likewise"),
        ("the body of a token request", f"{credentials.MAX_BODY_BYTES // MIB} MiB", "413, as an HTML page"),
        (
            "the value of a header of the emulator's own",
            f"{headers.MAX_HEADER_VALUE // 1024} KiB",
            "it is cut and ends with ...",
        ),
        (
            "the value of a header that a template makes",
            f"{headers.MAX_HEADER_VALUE // 1024} KiB on one line",
            "418 `rule_failed`",
        ),
        ("sessions", f"{sessions.MAX_SESSIONS:,}", "the one unused for longest is forgotten"),
        (
            "prompt prefixes of a session, for implicit caching",
            f"{sessions.MAX_PREFIXES:,} of {implicit_caching.BLOCK_BYTES // 1024} KiB each",
            "the oldest are forgotten: their prompts count no cached tokens",
        ),
        (
            "a prompt that implicit caching compares",
            f"{implicit_caching.MAX_BLOCKS * implicit_caching.BLOCK_BYTES // MIB} MiB",
            "what is behind counts as new",
        ),
        (
            "work and depth of finding out that a schema has no end",
            f"{schemas.MAX_SCHEMA_WORK:,} subschemas, {schemas.MAX_SCHEMA_DEPTH} deep",
            "it counts as having one",
        ),
        ("accounts of quotas", f"{buckets.MOST_BUCKETS:,}", "the one unused for longest is full again"),
        (
            "request options that are cached, with the answers encoded for them",
            f"{options.MAX_CACHED_BYTES // MIB} MiB, of at most {options.MAX_OPTIONS_BYTES // 1024} KiB each",
            "they are read anew",
        ),
        ("a token it issues", f"{tokens.LIFETIME:,} seconds", "401 `expired_token`"),
        ("a scenario file", f"{scenario_yaml.MAX_BYTES // MIB} MiB", "a problem"),
        ("a pushed scenario", f"{control._MAX_SCENARIO_BYTES // MIB} MiB", "413"),
        ("values in a scenario file", f"{scenario_yaml.MAX_NODES:,}", "a problem"),
        ("scenario files that include each other", f"{loading.MAX_INCLUDE_DEPTH} deep", "a problem"),
        ("the weight of a reply in `one_of`", f"{steps.MAX_WEIGHT:,}", "a problem"),
        ("the file name of a pushed scenario", f"{interface.MAX_FILE_NAME} characters", "the end is cut off"),
        ("a finish reason that a template makes", f"{compose.MAX_FINISH} characters", "418 `rule_failed`"),
        ("nesting in a scenario file", f"{scenario_yaml.MAX_DEPTH} deep", "a problem"),
        (
            "pairs of rules that are compared to find silent ones",
            f"{unreachable._MOST_COMPARISONS:,}",
            "no warnings for those behind; rules with no text in common are no pair",
        ),
        ("what a template makes", f"{prices.MAX_OUTPUT:,} characters", "418 `rule_failed`"),
        (
            "what the templates of an answer do",
            f"{prices.WORK:,} units: about 1 for a character, {prices.TURN} for a turn of a loop, {prices.CALL:,} for a call; some 100 ms",
            "418 `rule_failed`",
        ),
        ("nesting of what a template makes", f"{prices.MAX_DEPTH} deep", "418 `rule_failed`"),
        ("a whole number in a template", f"{prices.MAX_BITS:,} bits", "418 `rule_failed`"),
        ("names, numbers, texts and operators of a template", f"{template.MAX_TOKENS:,}", "a problem"),
        ("sizes asked of a word of `fake`", f"{fake.MAX_SIZE:,}", "418 `rule_failed`"),
        (
            "steps of a scenario's regular expression that RE2 cannot read, by an estimate for the text",
            f"{scenario_patterns.MAX_STEPS:,}",
            "418 `rule_failed`; when a scenario is read, a warning",
        ),
        (
            f"steps of all regular expressions for one request (RE2: {scenario_patterns._LINEAR_SHARE} characters each); rules whose words do not occur take none",
            f"{scenario_patterns.MAX_STEPS_TOGETHER:,}",
            "418 `rule_failed`",
        ),
        (
            "values of a scenario file that are explained as wrong",
            f"{problems.MAX_EXPLAINED}",
            "the others are counted",
        ),
        ("a chunk without a sentence's end", f"{chunking.LONGEST} characters", "it is divided between words"),
        (
            "what `auto` makes for a request",
            f"{work_budget.AUTO_CHARACTERS:,} characters",
            "418 `rule_failed`, with the place in the schema",
        ),
        (
            "what `auto` does for a request: reading schemas, making, comparing and checking values, matching patterns",
            f"{work_budget.AUTO_WORK:,} units, about 100 ms",
            "likewise",
        ),
        ("items of a list made by `auto`", f"{sampler.MOST_ITEMS:,}", "likewise"),
        ("keys of an object made by `auto`", f"{sampler.MOST_PROPERTIES:,}", "likewise"),
        ("a text made by `auto`", f"{patterns.LONGEST_TEXT:,} characters", "likewise"),
        (
            "chunks of an answer, all choices together",
            f"{chunking.MAX_CHUNKS:,}",
            "adjacent chunks are joined, so that they are fewer and longer",
        ),
        ("stop sequences of a request", f"{limits.MAX_STOPS}", "those behind are not looked for"),
        (
            "a schema's pattern as a program of RE2",
            f"{patterns.RE2_BYTES // MIB} MiB",
            "the pattern counts as absent, with a warning; so does one that RE2 cannot read",
        ),
        ("schemas of declared functions that are looked at", f"{schemas.MOST_SCHEMAS:,}", "those behind are accepted"),
        (
            "what the default answer reads of a question",
            f"{open_turn.MAX_TASK:,} characters; {request_tools.MAX_QUESTION:,} for a tool, the last {json_prompts.MAX_READ:,} for a schema",
            "the rest is not looked at",
        ),
        (
            "calls that a text tells of",
            f"in its first {open_turn.MAX_TOLD:,} characters",
            "further ones do not count as made",
        ),
        (
            "what the default answer reads of a tool",
            f"{request_tools.MAX_DESCRIPTION:,} characters of its description, {request_tools.MAX_PARAMETERS} parameters",
            "the rest is not looked at",
        ),
        (
            "values that `auto` takes from the messages",
            f"{arguments.MAX_SUGGESTIONS} properties of {arguments.MAX_SCHEMAS:,} schemas, from {arguments.MAX_TEXT:,} characters of a text",
            "others are made up",
        ),
        (
            "a text that a default answer repeats",
            f"{prose.MAX_QUOTED} characters, {prose.MAX_LISTED} items of a list",
            "it is cut at a word",
        ),
        (
            "a request and an answer in a line of the log",
            f"{log.TEXT_WIDTH} characters; {exchange.MAX_SHOWN} in lists of the journal",
            "the beginning, and `…`",
        ),
        (
            "a request's last message, its model and an answer, as they are kept beside the bodies for that",
            f"{parts.MAX_PREVIEW:,}, {exchange.MAX_MODEL} and {parts.MAX_PREVIEW:,} characters",
            "the beginning",
        ),
        (
            "the name and the place of a rule in `x-emulator-rule`",
            f"{ruleset.MAX_NAME} and {ruleset.MAX_PLACE:,} characters",
            "the beginning, and `…`",
        ),
        (
            "series of requests that metrics count apart",
            f"{metrics.MAX_SERIES:,}, with labels of {metrics.MAX_LABEL} characters",
            "further ones count as rule and model `other`",
        ),
        ("lines about exchanges in the report of a failing test", f"{plugin.MAX_LINES}", "the last ones"),
        ("requests before the one that `explain --use` explains", f"{explain.MAX_USES:,}", "wrong usage"),
        ("rules that an example request of `serve` is looked for with", f"{banner.MAX_TRIED}", "it is a greeting"),
        ("rows of exchanges that the page keeps", f"{rows_that_the_page_keeps():,}", "the oldest are dropped"),
        (
            "reading requests and answers for the page's rows",
            f"{events.WORDS_SHARE:.1%} of the time, and bodies of up to {MAX_READ_BODY:,} bytes",
            "rows are sent without words; the page asks for those that it shows",
        ),
        (
            "a text of a request that a draft rule asks for",
            f"{exports.LONGEST_TEXT:,} characters",
            "it is left out of the rule",
        ),
        ("rules that a miss names", f"{misses.NEAREST}", "the others are counted"),
        (
            "work of finding them",
            f"{misses.MISS_WORK:,} units, about 100 ms, beyond trying each rule",
            "the rules left are counted only, and the report says so",
        ),
        (
            "what a miss shows of a condition",
            f"{conditions.MAX_SHOWN_VALUES} values, {conditions.MAX_SHOWN_JSON:,} characters of JSON",
            "the others are counted, the JSON is cut",
        ),
        (
            "recorded requests that a miss is compared with to find the nearest",
            f"{replay.COMPARED_BYTES // MIB} MiB",
            "the others are counted only",
        ),
        ("differences to it that are shown", f"{replay.MAX_DIFFERENCES}", "the others are counted"),
        (
            "a text that a scenario made of a recording asks for",
            f"{generalize.LONGEST_TEXT:,} characters",
            "its beginning is asked for, and `scenario-from` says so",
        ),
        (
            "a name that is taken for several joined, in verdicts",
            f"{tool_calls.LONGEST_JOINED_NAME:,} characters",
            "no verdict",
        ),
        ("a request that is recorded", f"{recorder.MAX_REQUEST_BYTES // MIB} MiB", "418, and nothing is forwarded"),
        (
            "an answer that is recorded",
            f"{recorder.MAX_RECORDED_BYTES // MIB} MiB",
            "the client gets it; it is not recorded, which the last line says",
        ),
        (
            "a compressed body that is recorded",
            f"{secrets.MAX_DECOMPRESSED // MIB} MiB without its compression",
            "likewise",
        ),
        (
            "what is read of token requests and their answers while recording",
            f"{recorder.MAX_OVERHEARD_BYTES // 1024} KiB",
            "secrets behind that are known by their value only",
        ),
        (
            "time to connect to an upstream",
            f"{upstream.CONNECT_TIMEOUT:g} seconds",
            "418; for an answer the client decides",
        ),
    ]
    rows += [
        (
            "an answer that `attest` and `drift` read",
            f"{sender.MAX_ANSWER_BYTES // MIB} MiB, {sender.TIMEOUT:g} seconds (`--timeout`)",
            "it counts as broken off",
        ),
        (
            "requests of `attest` and `drift` in a row without any answer",
            f"{judging.MAX_SILENT}",
            "no more are sent",
        ),
        (
            "the body of an answer in a report of `attest`",
            f"{judging.SHOWN_BODY:,} characters, {judging.SHOWN_TEXT} of each text",
            "the beginning",
        ),
        (
            "a model or location that is compared with known names",
            f"{parameters.LONGEST_NAME} characters",
            "nothing is said to be meant by it",
        ),
        (
            "keys of a request, and its tools and their parameters, that are compared with names",
            f"{messages.MOST_KEYS} unknown keys, {compose.MOST_COMPARED} names of up to {compose.LONGEST_COMPARED} characters",
            "likewise",
        ),
        ("warnings of an answer's calls", f"{compose.MOST_WARNINGS}", "the first ones"),
        (
            "a journal that is read in Python waits for exchanges whose client may have left",
            f"{journal.SETTLING:g} seconds",
            "they are missing",
        ),
        (
            "a swept test waits for an answer that never comes",
            f"{sweep.TIMEOUT:g} seconds; `timeout=` up to {sweep.LONGEST_TIMEOUT}",
            "it has hung, and fails",
        ),
    ]
    table = ["| what | bound | beyond it |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]
    assert_generated("limits.md", "\n".join(table))


def test_printed_token_lasts() -> None:
    """The token that `serve` prints outlives those that others issue."""
    assert TOKEN_LIFETIME > tokens.LIFETIME
