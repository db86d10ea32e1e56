"""What the commands that only read and print say, to right and to wrong input."""

import ast
import json
import platform
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from emulator import __version__
from emulator.api.emulator import Emulator
from emulator.catalogue.errors import all_errors
from emulator.catalogue.models import all_models
from emulator.cli.commands import main
from emulator.scenario.reference import reference_text
from emulator.scenario.schema import schema_text
from emulator.server.settings import Settings

ROOT = Path(__file__).parents[2]
CHAT = str(ROOT / "scenarios" / "chat.yaml")


def list_options() -> list[tuple[str, click.Option]]:
    """List the options of all commands but --help and --version, each with its command's name."""
    return [
        (name, parameter)
        for name, command in main.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Option)
    ]


@pytest.mark.parametrize(("command", "option"), list_options(), ids=lambda value: getattr(value, "name", value))
def test_every_option_has_an_environment_name(command: str, option: click.Option) -> None:
    """An option --some-thing can be given as VERTEX_EMULATOR_SOME_THING, and its help says so."""
    long = next(name for name in option.opts if name.startswith("--"))
    assert option.envvar == "VERTEX_EMULATOR_" + long.removeprefix("--").replace("-", "_").upper()
    assert option.show_envvar
    assert option.help
    assert option.help.endswith(".")


def test_environment_variables_are_read(run: Any) -> None:
    """A wrong value in an environment variable is reported like one on the command line."""
    result = run("serve", env={"VERTEX_EMULATOR_PORT": "many"})
    assert result.exit_code == 2
    assert "VERTEX_EMULATOR_PORT" in result.stderr


@pytest.mark.parametrize("name", main.commands)
def test_summary_fits(name: str) -> None:
    """The one-line summary of a command in the list of commands is not truncated."""
    assert not main.commands[name].get_short_help_str(limit=65).endswith("...")


def test_module_is_the_command() -> None:
    """`python -m emulator` is the command line."""
    done = subprocess.run(
        [sys.executable, "-m", "emulator", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("vertex-emulator, version ")


def test_the_version_names_python_and_extras(run: Any) -> None:
    """`-V` too says which Python runs it and which extras are there; the extras are those of the package."""
    result = run("-V")
    program, python, there, missing = result.stdout.splitlines()
    assert program == f"vertex-emulator, version {__version__}"
    assert python == f"Python {platform.python_version()}"
    listed = [name for line in (there, missing) for name in line.split(": ")[1].split(", ") if name != "none"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert sorted(listed) == sorted(project["optional-dependencies"].keys() - {"dev", "test"})
    assert {"exec", "metrics"} <= {*there.removeprefix("extras: ").split(", ")}


def test_an_older_python_is_told_so() -> None:
    """A checkout that an older Python runs ends with a sentence; so does a Python whose syntax is older."""
    program = "import sys; sys.version_info = (3, 10, 1); sys.version = '3.10.1 (main)'; import emulator"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    said = f"vertex-openai-emulator needs Python 3.11 or newer; this is 3.10.1 ({sys.executable})\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    ast.parse((ROOT / "emulator" / "__init__.py").read_text("utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("module", ["faker", "jinja2", "pydantic", "starlette", "uvicorn", "yaml", "emulator.api"])
def test_import_is_light(module: str) -> None:
    """Importing all commands, as --help does, does not import heavy packages that only some need to run."""
    program = f"import sys, emulator.cli; [*emulator.cli.main.commands.values()]; print({module!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("arguments", [["serve", "--bogus"], ["nonsense"], ["check"], ["serve", "--port", "70000"]])
def test_wrong_usage_ends_with_2(run: Any, arguments: list[str]) -> None:
    """Wrong usage is reported with a hint at --help, and the exit status is 2."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert "--help" in result.stderr
    assert "Error: " in result.stderr


def test_check_of_good_scenario(run: Any) -> None:
    """A scenario without problems is counted, and the exit status is 0."""
    result = run("check", CHAT)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "1 scenario, 4 rules: fine\n", "")


def test_check_prints_every_problem(run: Any, tmp_path: Path) -> None:
    """All problems are printed on stderr with their places, and the status is 1."""
    (tmp_path / "bad.yaml").write_text("rules:\n  - wehn: {}\n    reply: hi\n  - reply: {sya: hi}\n", "utf-8")
    result = run("check", "bad.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert 'bad.yaml:2:5: unknown key "wehn"' in result.stderr
    assert "bad.yaml:4:" in result.stderr
    assert result.stderr.endswith("2 problems found\n")


def test_check_passes_with_warnings(run: Any, tmp_path: Path) -> None:
    """Warnings are printed and counted, and the exit status stays 0."""
    (tmp_path / "odd.yaml").write_text("rules:\n  - reply: all\n  - reply: none left\n", "utf-8")
    result = run("check", "odd.yaml")
    assert (result.exit_code, result.stdout) == (0, "1 scenario, 2 rules: fine, 1 warning\n")
    assert "odd.yaml:3:5: warning: " in result.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "wether.yml",
            'wether.yml:1:1: there is no such file or folder; did you mean "weather.yaml"?\n1 problem found\n',
        ),
        ("nothing.yaml", "nothing.yaml:1:1: there is no such file or folder\n1 problem found\n"),
        ("empty", "empty:1:1: this folder has no scenario: no file in it ends in .yaml or .yml\n1 problem found\n"),
    ],
)
def test_check_of_what_is_not_there(run: Any, tmp_path: Path, name: str, message: str) -> None:
    """A missing file and a folder without scenarios are problems; what has a similar name is named."""
    (tmp_path / "weather.yaml").write_text("rules: []\n", "utf-8")
    (tmp_path / "empty").mkdir()
    result = run("check", name)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)


def test_colours_only_on_terminals(run: Any) -> None:
    """Colours are written to terminals only."""
    assert "\x1b[" not in run("check", "nothing.yaml").stderr
    assert "\x1b[31m" in run("check", "nothing.yaml", color=True).stderr


def test_explain_names_the_rule_and_what_the_others_missed(run: Any, ask: Any) -> None:
    """Rules are listed in order up to the one that answers, then the answer is printed."""
    result = run("explain", CHAT, ask("my name is Ada"))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith('"greeting", ')
    assert lines[0].endswith(": misses")
    assert lines[1].startswith("  last_user  MISS  ")
    assert lines[1].endswith('"hello", got "my name is Ada"')
    assert lines[2].endswith(": answers")
    assert "(2 more not asked)" in lines
    assert "status 200" in lines
    assert "Nice to meet you, Ada." in result.stdout


def test_explain_of_flags_and_conversations(run: Any, ask: Any) -> None:
    """The flags of the session are given by --flag; the turn of a conversation is read off the request."""
    flags = str(ROOT / "scenarios" / "flags.yaml")
    missing = "  requires   MISS  wanted paid, not shipped, got nothing set"
    assert missing in run("explain", flags, ask("ship")).stdout.splitlines()
    result = run("explain", flags, ask("ship"), "--flag", "paid")
    assert "  requires   ok    paid" in result.stdout.splitlines()
    assert "It is on its way." in result.stdout
    result = run("explain", flags, ask("ship"), "--flag", "payed")
    assert (result.exit_code, result.stderr) == (
        1,
        'vertex-emulator: no rule requires the flag "payed"; did you mean "paid"?\n',
    )
    lines = run("explain", str(ROOT / "scenarios" / "conversation.yaml"), ask("fly to Oslo")).stdout.splitlines()
    assert "  conversation  ok    turn 2 answers" in lines


def test_explain_of_a_slow_pattern(run: Any, ask: Any, tmp_path: Path) -> None:
    """The rule whose regular expression would take too long is named, and nothing behind it is tried."""
    (tmp_path / "slow.yaml").write_text(
        r"rules: [{when: {last_user: {regex: '^(a+)+\1!$'}}, reply: a}, {reply: b}]", "utf-8"
    )
    result = run("explain", "slow.yaml", ask("a" * 60))
    assert result.exit_code == 1
    assert 'rule "rule 1", slow.yaml:1:9: the regular expression' in result.stdout.splitlines()[0]
    assert "status 418" in result.stdout


def test_explain_of_a_miss(run: Any, ask: Any) -> None:
    """When no rule answers, the status is 1."""
    result = run("explain", str(ROOT / "scenarios" / "turns.yaml"), ask("x"), "--url", "/v1/projects/p/locations/l")
    assert result.exit_code == 1
    result = run("explain", str(ROOT / "scenarios" / "tools.yaml"), ask("x"))
    assert result.exit_code == 1
    assert result.stdout.endswith("no rule answers this request\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"model":', "Vertex refuses this request (invalid_json_payload): the body ends at line 1"),
        ("hello", "Vertex refuses this request (invalid_json_payload): not JSON at line 1, column 1"),
        ('{"model": "gpt"}', 'Vertex refuses this request (malformed_publisher_model): model is "gpt"'),
    ],
)
def test_explain_of_a_refusal(run: Any, body: str, said: str) -> None:
    """A request that Vertex would refuse is explained, with the refusal as it is sent; the request comes from standard input."""
    result = run("explain", CHAT, "-", input=body)
    assert result.exit_code == 1
    assert result.stdout.startswith(said)
    head, _, answer = result.stdout.partition("\n\nstatus 400\n")[2].partition("\n\n")
    assert "content-type: application/json; charset=UTF-8\n" in head
    assert answer.startswith("[{\n")


def test_explain_of_a_wrong_url(run: Any, ask: Any) -> None:
    """A URL that is not one of chat completions is reported in one sentence that shows a valid one."""
    result = run("explain", "--url", "http://localhost/nowhere", CHAT, ask("hello"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "vertex-emulator: http://localhost/nowhere is no chat-completions URL; expected one"
    )
    assert result.stderr.count("\n") == 1


def test_explain_takes_url_and_headers(run: Any, ask: Any, tmp_path: Path) -> None:
    """URL and headers of the request come from options or from environment variables."""
    rule = "rules:\n  - when: {project: blue, header: {x-team: red, x-user: ada}}\n    reply: hi\n"
    (tmp_path / "who.yaml").write_text(rule, "utf-8")
    url = "http://localhost:1/v1/projects/blue/locations/global/endpoints/openapi/chat/completions"
    assert run("explain", "--url", url, "-H", "X-Team: red", "-H", "X-User:ada", "who.yaml", ask("x")).exit_code == 0
    environment = {"VERTEX_EMULATOR_URL": url, "VERTEX_EMULATOR_HEADER": "X-Team: red\nX-User: ada"}
    assert run("explain", "who.yaml", ask("x"), env=environment).exit_code == 0


@pytest.mark.parametrize("arguments", [["-H", "no header"], ["missing.json"]])
def test_explain_used_wrongly(run: Any, ask: Any, arguments: list[str]) -> None:
    """A header without a colon and a missing request file are wrong usage."""
    result = run("explain", CHAT, *arguments, *([] if "missing.json" in arguments else [ask("x")]))
    assert result.exit_code == 2
    assert arguments[-1] in result.stderr


def test_explain_of_a_later_use(run: Any, ask: Any, tmp_path: Path) -> None:
    """With --use the request is sent so many times: sequences go on, rules are used up, flags are set."""
    text = (
        "rules: [{name: once, times: 1, sets: seen, reply: One}, "
        "{name: then, requires: seen, sequence: [Two, Three], then: exhaust}]"
    )
    (tmp_path / "uses.yaml").write_text(text, "utf-8")
    said = {
        use: run("explain", "uses.yaml", ask("x"), "--use", use, "--json", env={"NO_COLOR": "1"})
        for use in ("1", "2", "3", "4")
    }
    found = {use: json.loads(done.stdout) for use, done in said.items()}
    assert [(one["rule"], one["use"], one["reply"]) for one in found.values()] == [
        ("once", 1, 1),
        ("then", 1, 1),
        ("then", 2, 2),
        (None, None, None),
    ]
    assert [done.exit_code for done in said.values()] == [0, 0, 0, 1]
    assert [one["used_up"] for one in found["4"]["rules"]] == [1, 2]
    assert found["2"]["rules"][1]["conditions"] == [
        {"field": "requires", "holds": True, "wanted": "seen", "got": "seen", "details": []}
    ]
    assert "  used up: 1 of 1" in run("explain", "uses.yaml", ask("x"), "--use", "2").stdout.splitlines()


def test_explain_prints_headers(run: Any, ask: Any, tmp_path: Path) -> None:
    """Those of the rule, of the service, and the emulator's own."""
    (tmp_path / "head.yaml").write_text("rules: [{name: grüße, headers: {x-mine: '1'}, reply: Hi}]", "utf-8")
    lines = run("explain", "head.yaml", ask("x")).stdout.splitlines()
    head = lines[lines.index("status 200") + 1 : lines.index("", lines.index("status 200"))]
    assert head[0] == "content-type: application/json; charset=UTF-8"
    assert "x-mine: 1" in head
    assert head[-1] == 'x-emulator-rule: "gr??e", head.yaml:1:9'


def test_explain_of_an_exchange(run: Any) -> None:
    """A number asks the running server, which knows what the session remembered when the request came."""
    text = "rules: [{name: once, when: {header: {x-a: b}}, reply: no}, {name: two, times: 1, reply: Hi}, {name: last, reply: Ho}]"
    with Emulator(f"{text}\n", settings=Settings(auth="off")) as vertex:
        for _ in range(2):
            vertex.openai(project="demo").chat.completions.create(
                model="google/gemini-2.5-flash", messages=[{"role": "user", "content": "x"}]
            )
        first = run("explain", "1", "--url", vertex.url)
        second = json.loads(run("explain", "2", "--url", vertex.url, "--json").stdout)
        missing = run("explain", "3", "--url", vertex.url)
    assert '"two", ' in first.stdout
    assert "(1 more not asked)" in first.stdout
    assert (first.exit_code, second["rule"], [one["used_up"] for one in second["rules"]]) == (
        0,
        "last",
        [None, 1, None],
    )
    assert missing.exit_code == 1
    assert missing.stderr.endswith("says 404: exchange 3 is not in the journal, which keeps the last ones only\n")


def test_explain_knows_the_headers_of_an_exchange(run: Any) -> None:
    """All but those with credentials, which are not kept: then it says so."""
    text = "rules: [{name: red, when: {header: {x-team: red}}, reply: A}, {name: key, when: {header: {authorization: Bearer hush}}, reply: B}]"
    with Emulator(f"{text}\n", settings=Settings(auth="off")) as vertex:
        client = vertex.openai(project="demo").with_options(api_key="hush")
        for headers in ({"x-team": "red"}, {}):
            client.chat.completions.create(
                model="google/gemini-2.5-flash", messages=[{"role": "user", "content": "x"}], extra_headers=headers
            )
        first, second = (run("explain", number, "--url", vertex.url) for number in ("1", "2"))
    assert first.stdout.splitlines()[0].startswith('"red", ')
    assert first.stdout.splitlines()[0].endswith(": answers")
    assert second.stdout.splitlines()[0] == (
        "the journal keeps no headers with credentials, so conditions on them show what a request without has"
    )
    assert "x-emulator-rule" in second.stdout
    assert "changed since" not in second.stdout


def test_check_is_strict_when_asked(run: Any, tmp_path: Path) -> None:
    """Warnings fail with --strict only; --json has all problems with their places."""
    (tmp_path / "hidden.yaml").write_text("rules: [{name: all, reply: A}, {name: never, reply: B}]", "utf-8")
    (tmp_path / "broken.yaml").write_text("rules: [{repyl: A}]", "utf-8")
    assert run("check", "hidden.yaml").exit_code == 0
    strict = run("check", "--strict", "hidden.yaml")
    assert (strict.exit_code, strict.stdout) == (1, "")
    assert strict.stderr.endswith("1 warning found, and --strict allows none\n")
    for arguments, status in (((), 0), (("--strict",), 1)):
        done = run("check", "--json", *arguments, "hidden.yaml")
        shown = json.loads(done.stdout)
        assert (done.exit_code, done.stderr, shown["passed"]) == (status, "", not status)
        assert (shown["scenarios"], shown["rules"]) == (1, 2)
        (problem,) = shown["problems"]
        assert (problem["file"], problem["line"], problem["severity"]) == ("hidden.yaml", 1, "warning")
    done = run("check", "--json", "broken.yaml")
    shown = json.loads(done.stdout)
    assert (done.exit_code, shown["passed"], shown["rules"]) == (1, False, None)
    assert shown["problems"][0]["message"] == 'unknown key "repyl" in a rule; did you mean "reply"?'


def test_schema_and_reference(run: Any) -> None:
    """`schema` and `reference` print the generated texts unchanged."""
    assert run("schema").stdout == schema_text()
    assert run("reference").stdout == reference_text()


def test_errors_are_listed(run: Any) -> None:
    """The table has a row for each error and a star at those that a number or status stands for."""
    lines = run("errors").stdout.splitlines()
    assert lines[0].split() == ["NAME", "HTTP", "STATUS", "CONFIDENCE", "WHEN"]
    assert [line.split()[0].rstrip("*") for line in lines[1:]] == [error.name for error in all_errors()]
    starred = {line.split()[0] for line in lines if "*" in line}
    assert {"resource_exhausted*", "unavailable*", "publisher_model_not_allowed*"} < starred
    column = lines[0].index("CONFIDENCE")
    assert {line[column - 1 :].split()[0] for line in lines[1:]} == {"high", "medium", "low"}


def test_models_are_listed(run: Any) -> None:
    """The table has a row for each model with its outputs and its thinking."""
    lines = run("models").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [model.id for model in all_models()]
    by_id = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    assert by_id["google/gemini-2.5-pro"] == (
        "gemini-2.5 text budget 128 to 32768; cannot be off 1.25 / 10 retired 2026-10-20, as announced"
    )
    assert (
        by_id["google/gemini-3-pro-image"]
        == "gemini-image text, image levels HIGH; default HIGH 2 / 12 until 2027-05-28 or later"
    )
    assert (
        by_id["deepseek-ai/deepseek-v3.1-maas"]
        == "deepseek text when thinking is set 0.6 / 1.7 retired 2026-10-21, as announced"
    )


@pytest.mark.parametrize(("command", "count"), [("errors", len(all_errors())), ("models", len(all_models()))])
def test_catalogues_as_json(run: Any, command: str, count: int) -> None:
    """--json prints all fields, the source among them."""
    entries = json.loads(run(command, "--json").stdout)
    assert len(entries) == count
    assert all(entry["source"] for entry in entries)


def test_check_takes_each_file_for_a_scenario_by_itself(run: Any, tmp_path: Path) -> None:
    """Files of a folder shadow each other only with --together, as one server would have them."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("rules: [{reply: Hi}]\n")
    alone, together = run("check", "--strict", "."), run("check", "--strict", "--together", ".")
    assert (alone.exit_code, alone.stdout, alone.stderr) == (0, "2 scenarios, 2 rules: fine\n", "")
    assert together.exit_code == 1
    assert 'b.yaml:1:9: warning: rule "rule 1" can never answer: "rule 1" (a.yaml:1)' in together.stderr


def test_the_shipped_scenarios_have_no_problems(run: Any) -> None:
    """A check of the whole folder has nothing to say."""
    done = run("check", "--strict", str(ROOT / "scenarios"))
    assert (done.exit_code, done.stderr) == (0, "")
