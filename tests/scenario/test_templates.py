"""Templates: what they give, what they may use, and how little harm they can do."""

import random
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from faker import Faker
from hypothesis import given
from hypothesis import strategies as st

from emulator.engine.fake import Fake
from emulator.errors import AnswerError
from emulator.scenario.templates.failures import TemplateError
from emulator.scenario.templates.template import compile_template, is_template, strings_in, unknown_names
from emulator.scenario.templates.variables import VARIABLES

CONTEXT: dict[str, Any] = {
    "last_user": "Wie heißt <das>?",
    "tool_result": {"temperature": 5, "unit": "celsius"},
    "tool_results": [{"temperature": 5}],
    "turn": 2,
    "messages": [{"role": "user"}, {"role": "tool"}],
    "now": datetime(2026, 1, 2, tzinfo=UTC),
    "uuid": lambda: "00000000-0000-4000-8000-000000000000",
    "none": None,
}


def evaluate(text: str) -> Any:
    """The value of a template in the context above."""
    return compile_template(text).evaluate(CONTEXT)


def failure(text: str) -> str:
    """The message of a template that cannot be compiled or evaluated."""
    with pytest.raises(TemplateError) as caught:
        evaluate(text)
    assert isinstance(caught.value, AnswerError)
    return str(caught.value).removeprefix(f'the template "{text}" failed: ')


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("It is {{ tool_result.temperature }} °C.", "It is 5 °C."),
        ("{{ tool_result.temperature }}", 5),
        ("{{ tool_result }}", {"temperature": 5, "unit": "celsius"}),
        ("{{ messages | map(attribute='role') | list }}", ["user", "tool"]),
        ("{{ tool_result.items() | list }}", [["temperature", 5], ["unit", "celsius"]]),
        ("{{ turn > 1 }}", True),
        ("{{ none }}", None),
        ("{{ now }}", "2026-01-02 00:00:00+00:00"),
        ("{{ now.year }}", 2026),
        ("{{ uuid() }}", "00000000-0000-4000-8000-000000000000"),
        (" {{ turn }}", " 2"),
        ("{{ turn }}\n", "2\n"),
        ("{{ last_user | tojson }}", '"Wie heißt <das>?"'),
        ("{{ {'b': 1, 'a': [true]} | tojson }}", '{"b": 1, "a": [true]}'),
        ("{{ last_user | upper }}", "WIE HEISST <DAS>?"),
        ("{{ 'a' ~ 1 ~ 'b' }}", "a1b"),
        ("{% for m in messages %}{{ loop.index }}{{ m.role }}{{ ',' if not loop.last }}{% endfor %}", "1user,2tool"),
        ("{% raw %}{{ as it is }}{% endraw %}", "{{ as it is }}"),
        ("{{ missing | default('instead') }}", "instead"),
        ("{{ 'x' if missing is defined else 'y' }}", "y"),
    ],
)
def test_templates_give(text: str, value: Any) -> None:
    """A single expression keeps its type, everything else is text as written, without HTML escapes."""
    assert evaluate(text) == value
    assert is_template(text)


def test_rendering_is_always_text() -> None:
    """Where text is wanted, a single expression gives text too."""
    assert compile_template("{{ turn }}").render(CONTEXT) == "2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ tool_reslt }}", '"tool_reslt" is not known; did you mean "tool_result"?'),
        (
            "{{ tool_result.temprature }}",
            'there is no "temprature" in it, only "temperature" and "unit"; did you mean "temperature"?',
        ),
        ("{{ tool_results[3] }}", "there is no item 3 in a list of 1"),
        ("{{ last_user.name }}", 'a text has no "name"'),
        ("{{ none.name }}", 'nothing has no "name"'),
        ("{{ turn / 0 }}", "it divides by zero"),
        ("{{ turn + last_user }}", '"+" does not go between a number and a text'),
        ("{{ last_user + turn }}", '"+" does not go between a text and a number; "~" joins as text'),
        ("{{ turn < last_user }}", 'a number and a text cannot be compared with "<"'),
        ("{{ turn | list }}", "a number has no items to go through"),
        ("{{ turn() }}", "a number cannot be called"),
        ("{{ uuid }}", 'it names a function without calling it; write "()" after the name'),
        ("{{ uuid | tojson }}", "function cannot be written as JSON"),
        ("{{ ''.__class__ }}", '"__class__" may not be used in a template'),
        ("{{ tool_result.update({}) }}", '"update" may not be used in a template'),
        ("{{ range(1000000) | list }}", "a range has more than 100,000 numbers"),
        ("{{ turn", 'the template ends too early: a "}}" or "%}" is missing'),
        ("{% if turn %}", 'the template ends too early: it lacks "{% endif %}"'),
        ("{{ turn turn }}", 'this template cannot be read at "turn"'),
        ("{{ turn | lst }}", 'there is no filter "lst"; did you mean "list"?'),
        ("{{ turn is evn }}", 'there is no test "evn"; did you mean "even"?'),
        ("{% fr x in y %}{% endfor %}", 'there is no tag "{% fr %}"; did you mean "for"?'),
        ("{{ $ }}", 'this template cannot be read at "$"'),
        ("{% import 'os' as os %}", '"{% import %}" is not available in a scenario'),
        ("{% extends 'x' %}", '"{% extends %}" is not available in a scenario'),
        ("{% for x in y recursive %}{% endfor %}", 'a "recursive" loop is not available in a scenario'),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "this template is nested too deeply"),
    ],
)
def test_failures_are_told_in_our_words(text: str, said: str) -> None:
    """A failure names what is wrong and the nearest right name, in no library's words."""
    assert failure(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 10 ** 9 }}",
        "{{ [1] * 10 ** 9 }}",
        "{{ 9 ** (9 ** 9) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{{ 'a' * 99 }}{% endfor %}",
        "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
        "{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s | tojson }}",
        "{% set s = 'a' * 999999 %}{{ [s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s] }}",
        "{{ [[[1] * 1000] * 1000] * 1000 }}",
        "{{ 'a'.ljust(10 ** 9) }}",
        "{{ 'a' | center(10 ** 9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '{:{w}}'.format(1, w=1000000000) }}",
        "{{ ('a' * 999999).replace('a', 'b' * 999999) }}",
        "{{ ('a' * 999999) | replace('a', 'b' * 999999) }}",
        "{{ ('a' * 999999).join('b' * 999999) }}",
        "{{ (['a'] * 999999) | join('b' * 999999) }}",
        "{{ 1.5 | round(1000000000, 'ceil') }}",
        "{{ ([[]] * 1000) | tojson(indent=100000) }}",
    ],
)
def test_work_is_bounded(text: str) -> None:
    """No short template makes endless text or takes long."""
    begin = time.process_time()
    failure(text)
    assert time.process_time() - begin < 5


NESTED = "{% set n = namespace(t=()) %}{% for i in range(2000) %}{% set n.t = (n.t,) %}{% endfor %}"
MEGABYTE = '("x" * 1000000)'


@pytest.mark.parametrize(
    "text",
    [
        *(NESTED + use for use in ("{{ {n.t: 1} }}", "{{ {}[n.t] }}", "{{ n.t in {} }}", "{{ dict([(n.t, 1)]) }}")),
        *(NESTED + use for use in ("{{ [n.t] | unique | list }}", "{{ n.t == (n.t,) }}", "{{ tool_result.get(n.t) }}")),
        "{% set n = namespace(t=(1,)) %}{% for i in range(80000) %}{% set n.t = n.t | select %}{% endfor %}{{ n.t | list }}",
        "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set y %}{{ n.x }}{{ n.x }}{% endset %}{% set n.x = y %}{% endfor %}",
        '{{ ("{0}" * 2000).format(' + MEGABYTE + ") | length }}",
        '{{ ("%(a)s" * 2000) % {"a": ' + MEGABYTE + "} }}",
        '{{ ("%(a)s" * 2000) | format(a=' + MEGABYTE + ") }}",
        "{{ " + MEGABYTE + '.join(range(3000) | map("string")) | length }}',
        "{{ range(3000) | join(" + MEGABYTE + ") | length }}",
        '{{ ("a " * 2000) | wordwrap(1, true, ' + MEGABYTE + ") | length }}",
        "{{ " + MEGABYTE + " | wordwrap(1) | length }}",
        '{{ ("\t" * 2000).expandtabs(1000000) | length }}',
        '{{ ("a" * 1000000).translate({97: "b" * 1000}) | length }}',
        "{{ range(300) | list | tojson(1000000) | length }}",
        '{{ (("f" * 1000000) | int(0, 16)) // (("e" * 500000) | int(0, 16)) }}',
        "{{ range(0, 50000 * (2 ** 61 - 1), 2 ** 61 - 1) | unique | list | length }}",
        '{{ ("<!-- -->" * 100000) | striptags | length }}',
        "{{ [1] | batch(100000000, 'x') | list }}",
        "{{ ([[1] * 1000] * 1000) | sum(start=[]) | length }}",
        "{{ now.strftime('%9999Y' * 10000) }}",
        *(
            "{% set t = " + MEGABYTE + " %}{% for i in range(99999) %}" + use + "{% endfor %}"
            for use in (
                "{% set x = t[1:] %}",
                "{% set x = 'b' in t %}",
                "{% set x = t | wordcount %}",
                "{{ t == 'b' }}",
            )
        ),
        "{% set t = " + MEGABYTE + " %}{% for i in range(99999) %}{% set x = t.rfind('x' * 500 ~ 'b') %}{% endfor %}",
    ],
)
def test_work_is_charged_before_it_is_done(text: str) -> None:
    """What would be large, slow or too deep for the stack is refused at once, whatever operation would make it."""
    begin = time.process_time()
    failure(text)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ 1 < turn < 3 }}", True),
        ("{{ 3 < turn < missing }}", False),
        ("{{ last_user[:3] ~ last_user[-2:] ~ [1, 2, 3][::-1] | first }}", "Wies3"[:3] + ">?3"),
        ("{{ 'role' in messages[0] and 'x' not in messages[0] }}", True),
        ("{{ messages | groupby('role') | map(attribute='grouper') | list }}", ["tool", "user"]),
        ("{{ 'x' if messages | selectattr('role', 'eq', 'none') else 'y' }}", "x"),
        ("{{ '%s|%05d' % ('a', 7) }}{{ '{:>4}|{a}'.format('b', a=1) }}{{ '%(x)s' | format(x=2) }}", "a|00007   b|12"),
        ("{{ now.strftime('%Y') }}{{ now.replace(year=2030).year }}", "20262030"),
        ("{{ {'a': 1}.items() | list }}", [["a", 1]]),
        ("{{ '\\ud83d' }}", "\ufffd"),
    ],
)
def test_what_templates_use_still_works(text: str, value: Any) -> None:
    """Charged operations give what Jinja gives; half a character becomes U+FFFD."""
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ dict(a=1, a=2) }}", '"a" is given twice in one call'),
        ("{{ " + "1" * 5000 + " }}", "a number in this template has 5000 characters"),
        ("{% for i in [1] %}" * 25 + "{% endfor %}" * 25, "this template is nested too deeply"),
        ("{% if 1 %}" * 100 + "{% endif %}" * 100, "this template is nested too deeply"),
        ("{{ 1" + "+1" * 3000 + " }}", "this template is nested too deeply"),
        ("{{ 1" + "|string" * 1000 + " }}", "this template is nested too deeply"),
        ("{{ [" + "1," * 30000 + "] }}", "this template has more than 20,000 words and signs; divide it"),
    ],
)
def test_limits_of_libraries_are_problems(text: str, said: str) -> None:
    """What Jinja or Python's compiler cannot take is a TemplateError like any other, before anything is evaluated."""
    with pytest.raises(TemplateError) as caught:
        compile_template(text)
    assert str(caught.value) == said


@given(st.text(st.sampled_from(list("{}%| ab.()[]'\"=+~,1#-"))))
def test_no_template_fails_in_another_way(text: str) -> None:
    """Whatever a template says, it gives JSON or a TemplateError."""
    try:
        assert isinstance(compile_template(text).evaluate({"a": 1, "b": "x"}), str | int | float | list | dict | None)
    except TemplateError as error:
        assert "Traceback" not in str(error)  # noqa: PT017 - most texts are no templates at all


def test_unknown_names_are_those_from_outside() -> None:
    """Names that a template sets itself, loops over, or has built in are known."""
    text = "{% set y = 1 %}{{ y }}{% for x in tools %}{{ x }}{{ loop.index }}{% endfor %}{{ range(3) }}{{ trun }}"
    assert unknown_names(text, VARIABLES) == ["trun"]
    assert unknown_names("{{ city }}", (*VARIABLES, "city")) == []


def test_only_open_objects_have_attributes() -> None:
    """What an object of another package offers is not there for templates, unless its class says so."""
    with pytest.raises(TemplateError, match='"sentence" may not be used in a template'):
        compile_template("{{ fake.sentence() }}").evaluate({"fake": Faker()})


def test_strings_are_found_wherever_they_are() -> None:
    """Every text in nested JSON comes with the way to it; keys are no values."""
    value = {"a": ["x", {"b": "y", "c": 1}], "d": "z"}
    assert list(strings_in(value)) == [(("a", 0), "x"), (("a", 1, "b"), "y"), (("d",), "z")]
    assert list(strings_in("x")) == [((), "x")]


def test_plain_braces_are_no_template() -> None:
    """JSON and single braces stay what they are."""
    assert not is_template('{"a": {"b": 1}}')
    assert not is_template("{# no comment #} {x}")


def test_jinja_is_imported_for_the_first_template_only() -> None:
    """Reading a scenario without templates does not wait for jinja2."""
    program = (
        "import sys; from emulator.scenario.loading import read_text; read_text('rules: [{reply: x}]');"
        "assert 'jinja2' not in sys.modules; read_text('rules: [{reply: \"{{ turn }}\"}]');"
        "assert 'jinja2' in sys.modules and 'faker' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_random_is_the_answers_own() -> None:
    """It chooses by the generator of `fake`, so that the same request gets the same; elsewhere it is refused."""
    text = "{% for i in range(9) %}{{ range(100) | random }}{{ 'abcdef' | random }}{{ [1, 2] | map('string') | random }} {% endfor %}"

    def render(seed: int) -> str:
        return compile_template(text).render({"fake": Fake(lambda: Random(seed))})  # noqa: S311  # no secret

    before = random.getstate()
    assert render(1) == render(1) != render(2)
    assert random.getstate() == before
    assert len(set(render(1).split())) > 3
    with pytest.raises(TemplateError, match="it is empty"):
        compile_template("{{ [] | random }}").render({"fake": Fake(Random)})
    with pytest.raises(TemplateError, match='"random" cannot be used here'):
        compile_template("{{ [1] | random }}").render({})


@pytest.mark.parametrize(
    "text",
    [
        "{{ [1] | batch(30000000, 'x') | list }}",
        "{{ (1,) | tojson(99999) | batch(2) | list | tojson(99999) | tojson(99999) }}",
        "{{ 'x' | center(999999999) }}",
        "{{ ('a' * 1000000) | list | unique | list }}",
    ],
)
def test_constants_are_not_worked_out_when_a_template_is_read(text: str) -> None:
    """Then nothing is charged; it is done, and refused, when the template is filled."""
    begin = time.process_time()
    compiled = compile_template(text)
    assert time.process_time() - begin < 1
    with suppress(TemplateError):
        compiled.render({})
    assert time.process_time() - begin < 3
