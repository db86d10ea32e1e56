"""Plain answers: a few English sentences about the request, as `say: auto` and the default scenario give them.

`write_prose` takes the first that fits: what tools have returned; a greeting; a text to say back; arithmetic; a task (summarise,
translate, write code, list, ...); a question by its question word; a statement. Sentences quote or name what the request is about and
claim nothing about the world. Where there are several wordings, the number of the choice and the seed decide.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from emulator.engine.request.facts import Facts
from emulator.engine.request.tools import hands_off

MAX_QUOTED = 300
"""Characters of a text that an answer repeats."""
MAX_LISTED = 8
"""Items that an answer lists, and values of a tool's result that it names."""
_MAX_SUMMARISED = 4_000
_MAX_DIGITS = 12
_MAX_TOPIC = 80

_GREETING = re.compile(
    r"\W*(?:hi|hello|hey|howdy|greetings|good (?:morning|afternoon|evening))\b[\s,!.]*(?:there|everyone|all|again)?\W*",
    re.IGNORECASE,
)
_WHO_ARE_YOU = re.compile(
    r"\W*(?:who|what) are you\b\W*|\W*what(?:'s| is) your name\b\W*|\W*what can you do.{0,30}", re.IGNORECASE
)
_HOW_ARE_YOU = re.compile(r"(?:\W*(?:hi|hello|hey)\b)?\W*how are you\b.{0,40}", re.IGNORECASE)
_THANKS = re.compile(r"\W*(?:ok(?:ay)?\W+)?(?:thanks|thank you|thx|cheers)\b.{0,40}", re.IGNORECASE)
_GOODBYE = re.compile(r"\W*(?:bye|goodbye|see you|good night)\b.{0,30}", re.IGNORECASE)
_SAY = re.compile(
    r"\W*(?:please\s+)?(?:say|repeat|echo|reply with|respond with|answer with|reply|respond)\b(?:\s+(?:exactly|only|just|with|back|after me"
    r"|the (?:single )?words?|the (?:text|phrase|sentence)))*\s*:?\s+(?P<text>.{1,300}?)\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_NOT_SAID = re.compile(
    r"\b(?:a|an|one|in|your|something|what|how|why|me|more|whether|if|as|to|the (?:user|question|following)|one of|briefly)\b",
    re.IGNORECASE,
)
_ARITHMETIC = re.compile(
    r"(?P<one>-?\d{1,12}(?:\.\d{1,6})?)\s*(?P<operator>[-+*/x\u00d7\u00f7]|plus|minus|times|divided by|multiplied by)\s*"
    r"(?P<other>-?\d{1,12}(?:\.\d{1,6})?)(?!\s*[-+*/x\u00d7\u00f7]\s*\d)(?!\d|-\d)",
    re.IGNORECASE,
)
_ASKS_FOR_NUMBER = re.compile(
    r"\W*(?:what(?:'s| is| are)?|how much(?: is)?|calculate|compute|solve|evaluate)?(?: the (?:value|result|sum) of)?\W*",
    re.IGNORECASE,
)
_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": lambda one, other: one / other,
}
_OPERATOR_NAMES = {"plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "x": "*"} | {
    "\u00d7": "*",
    "\u00f7": "/",
}
_POLITE = re.compile(
    r"\A\W*(?:(?:please|kindly|now|so|and|hi|hello|hey|ok(?:ay)?|answer the user query)\b\W*|"
    r"(?:can|could|would|will) you (?:please )?|i(?:'d like| want| need| would like) (?:you )?to |help me (?:to )?|i need |i want |"
    r"(?:answer|reply|respond) (?:in|with)\b[^:.\n]{1,40}[:.]\s*)+",
    re.IGNORECASE,
)
_SUMMARISE = re.compile(r"\b(?:summari[sz]e|summary of|tl;?dr|sum up|give .{0,20}summary|shorten)\b", re.IGNORECASE)
_TRANSLATE = re.compile(r"\btranslat\w*\b", re.IGNORECASE)
_INTO_LANGUAGE = re.compile(r"\b(?:in)?to ([A-Z][a-z]+|[a-z]+(?:ish|ese|ian|man|ench))\b")
_CODE = re.compile(
    r"\b(?:write|create|give|show|implement|generate|code)\b.{0,60}\b(?:function|code|script|program|class|snippet|query|regex|sql)\b"
    r"|\bimplement\b|\bin (?:python|javascript|typescript|java|go|rust|c\+\+)\b",
    re.IGNORECASE,
)
_CREATIVE = re.compile(
    r"\b(?:write|tell|compose|make|create|give|sing|draft)\b.{0,40}\b(?P<kind>poem|haiku|story|tale|joke|song|limerick|essay|letter|email"
    r"|message|tweet|post|paragraph|article|blog post|slogan|tagline)\b(?:\s+to [^.!?\n]{1,40}?)?(?:\s+(?:about|on|for|of)\s+(?P<topic>[^.!?\n]{1,80}))?",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"\b(?:list|name|give|suggest|recommend|brainstorm|tell)\b(?:\s+(?:me|us))?\s+(?:the\s+|a list of\s+)?"
    r"(?P<count>\d{1,2}|two|three|four|five|six|seven|eight|nine|ten|some|a few|several|ideas)\b\s*(?P<topic>[^.!?\n]{0,80})",
    re.IGNORECASE,
)
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_ITEMS = (
    "The one that most people think of first.",
    "A simple one that is easy to start with.",
    "One that is less well known.",
    "A classic that never gets old.",
    "One that takes a little more time.",
    "A recent one that is worth a look.",
    "A safe choice for everybody.",
    "One to keep for later.",
)
_IMPERATIVE = re.compile(
    r"\A(?:tell me|explain|describe|discuss|define|talk|write|give me|show me|tell us|elaborate|inform me|say something|teach me|introduce)\b"
    r"\s*(?:to me\s+)?(?:(?:more|something|a bit|a little|all|everything)\s+)?(?:about|on|of)?\s*",
    re.IGNORECASE,
)
_WHAT = re.compile(r"\A(?:what|who)(?:'s| is| are| was| were)\s+(?P<topic>[^?.!\n]{1,120})", re.IGNORECASE)
_HOW_TO = re.compile(
    r"\A(?:how (?:do|can|should|would) (?:i|you|we|one)|how to)\s+(?P<topic>[^?.!\n]{1,120})", re.IGNORECASE
)
_QUESTION_WORD = re.compile(r"\A(?:why|when|where|which|who|whom|whose|what|how)\b", re.IGNORECASE)
_YES_NO = re.compile(
    r"\A(?:is|are|was|were|do|does|did|can|could|will|would|should|has|have|had|may|might|am)\b", re.IGNORECASE
)
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_PREPOSITION = re.compile(
    r"(?:in|on|at|for|with|to|of|about|it|this|that|these|those|there|they|wrong|going)\b", re.IGNORECASE
)
_NO_TOPIC = "a quiet morning"
_CHOICE = re.compile(
    r"\b(?:as|either|into|whether it is|is it|one of|among|between)\b:?\s+(?P<choices>[\w-]{1,30}(?:\s*,\s*(?:or\s+|and\s+)?[\w-]{1,30}){0,8}"
    r",?\s+(?:or|and)\s+[\w-]{1,30})",
    re.IGNORECASE,
)
_CLASSIFY = re.compile(r"\b(?:classify|categori[sz]e|label|sentiment|choose|pick|decide)\b", re.IGNORECASE)
_NOT_IN_NAMES = frozenset(
    [
        "write",
        "create",
        "give",
        "show",
        "implement",
        "generate",
        "code",
        "function",
        "script",
        "program",
        "class",
        "snippet",
        "how",
        "what",
        "can",
        "you",
        "should",
        "would",
        "python",
        "javascript",
        "typescript",
        "that",
        "which",
        "the",
        "for",
        "and",
        "with",
        "please",
        "using",
    ]
)
"""Words of a task that do not become part of a function's name."""
_JAVASCRIPT = {"javascript", "typescript", "js", "node"}
# Keys of a tool's result that hold a sentence to repeat.
_SAYING = frozenset({"report", "message", "answer", "summary", "result", "output", "text", "content"})
_ERROR = re.compile(r"\A\W*(?:error|exception|traceback|failed)\b", re.IGNORECASE)


class Wording:
    """Chooses among wordings: numbers next to each other choose differently."""

    def __init__(self, number: int) -> None:
        """`number` is not negative."""
        self._number = number

    def choose(self, *options: str) -> str:
        """One of the options; what is left of the number is for the next choice."""
        self._number, index = divmod(self._number, len(options))
        return options[index]


def write_prose(facts: Facts, wording: Wording) -> str:
    """A plain answer to the request; the same for the same request and wording."""
    turn = facts.open_turn
    results = [(name, text) for name, text in turn.results if not hands_off(name)]
    if results:
        return _report_results(results)
    task = turn.task
    if not task:
        return _answer_media(facts) or "Hello! How can I help you today?"
    told = _POLITE.sub("", task).strip() or task
    return (
        _small_talk(task, wording)
        or _say_back(task)
        or _calculate(told)
        or _answer_media(facts)
        or _carry_out(told, wording)
        or _answer_question(told, wording)
        or _answer_statement(told, wording)
    )


def _small_talk(text: str, wording: Wording) -> str | None:
    if _GREETING.fullmatch(text):
        return wording.choose(
            "Hello! How can I help you today?",
            "Hi there! What can I do for you?",
            "Hello, nice to hear from you. What would you like to talk about?",
        )
    if _HOW_ARE_YOU.fullmatch(text):
        return "I'm doing well, thank you for asking! How can I help you today?"
    if _WHO_ARE_YOU.fullmatch(text):
        return "I am an AI assistant. I can answer questions, write and summarize texts, and use the tools that I am given."
    if _THANKS.fullmatch(text):
        return wording.choose(
            "You're welcome! Let me know if there is anything else.", "You're welcome! I'm happy to help."
        )
    if _GOODBYE.fullmatch(text):
        return "Goodbye! Have a great day."
    return None


def _say_back(text: str) -> str | None:
    """What the user wants to have said, word for word."""
    found = _SAY.fullmatch(text)
    if found is None:
        return None
    said = found["text"].strip()
    quoted = re.fullmatch(
        r"""["'\u201c`](.{1,300}?)["'\u201d`](?:\s+(?:and nothing else|only|exactly))?[.!]?""", said, re.DOTALL
    )
    if quoted:
        return quoted[1]
    said = re.sub(r"\s+(?:and nothing else|only|exactly)[.!]?\Z", "", said)
    if "\n" in said or _NOT_SAID.match(said) or re.search(r"\bin [A-Z][a-z]+\W*\Z", said):
        return None
    return said[0].upper() + said[1:]


def _calculate(text: str) -> str | None:
    found = _ARITHMETIC.search(text)
    if found is None or len(text) > found.end() - found.start() + 40 or "translate" in text.lower():
        return None
    if not _ASKS_FOR_NUMBER.fullmatch(text[: found.start()]):
        return None
    operator = found["operator"].lower()
    operator = _OPERATOR_NAMES.get(operator, operator)
    one, other = float(found["one"]), float(found["other"])
    if operator == "/" and not other:
        return f"{found[0]} has no value, because a number cannot be divided by zero."
    result = round(_OPERATORS[operator](one, other), 6)
    shown = str(int(result)) if result == int(result) else f"{result:g}"
    return f"{found[0]} is {shown}. Let me know if you would like to see the steps."


def _answer_media(facts: Facts) -> str | None:
    """A sentence about a picture, a sound, a video or a document in the messages, whose content nobody looks at."""
    kinds = [kind for kind in ("image", "audio", "video", "document") if kind in facts.has]
    if not kinds:
        return None
    kind = kinds[0]
    said = {
        "image": "The image shows a clear subject in the foreground against a simple background. The colors are well balanced.",
        "audio": "In the recording one person speaks calmly and clearly. There is little noise in the background.",
        "video": "The video shows a short scene with a single subject. Nothing changes abruptly from beginning to end.",
        "document": "The document has a title, an introduction and a few short sections. Its main points stand at the beginning.",
    }[kind]
    return f"{said} Let me know if you would like more detail."


def _report_results(results: Sequence[tuple[str, str]]) -> str:
    """The results of tools in sentences."""
    reported = [_report_result(name, text) for name, text in results[-MAX_LISTED:]]
    return (
        " ".join(dict.fromkeys(one for one in reported if one))
        or "That is done. Let me know if you need anything else."
    )


def _report_result(name: str, text: str) -> str:
    text = text.strip()
    value: Any = None
    if text[:1] in {"{", "["} and len(text) <= _MAX_SUMMARISED * 5:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
    if isinstance(value, dict):
        while len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
            value = inner
        error = value.get("error")
        if error:
            return (
                f"I could not finish this, because {_words(name) or 'the tool'} reported an error: {_end(_show(error))}"
            )
        said = next((one for key, one in value.items() if key in _SAYING and isinstance(one, str) and " " in one), None)
        if said:
            return _sentence(_excerpt(said))
        pairs = [
            f"the {_words(key)} is {shown}" if not isinstance(one, bool) else f"{_words(key)} is {shown}"
            for key, one in list(value.items())[:MAX_LISTED]
            if key not in {"status", "success", "ok"} and (shown := _show(one))
        ]
        return _sentence(_join(pairs)) if pairs else ""
    if isinstance(value, list):
        listed = [shown for one in value[:MAX_LISTED] if (shown := _show(one))]
        if not listed:
            return f"{_sentence(_words(name) or 'the search')[:-1]} found nothing."
        more = f", and {len(value) - MAX_LISTED} more" if len(value) > MAX_LISTED else ""
        count = "1 result" if len(value) == 1 else f"{len(value)} results"
        return f"I found {count}: {_join(listed)}{more}."
    if not text:
        return ""
    if _ERROR.match(text):
        return f"I could not finish this, because {_words(name) or 'the tool'} reported: {_end(_excerpt(text))}"
    shown = _excerpt(text)
    topic = _topic_of_tool(name)
    if len(shown.split()) <= 4 and topic:  # noqa: PLR2004  # a value, not a sentence
        return f"The {topic} is {_end(shown)}"
    return _end(shown[0].upper() + shown[1:])


def _topic_of_tool(name: str) -> str:
    """What a tool that reads gives, by its name: `get_current_weather` gives the current weather."""
    found = re.fullmatch(
        r"(?:get|fetch|look up|find|check|read|retrieve|query|show|describe|calculate|compute) (.+)", _words(name)
    )
    return found[1] if found else ""


def _show(value: Any) -> str:
    """A JSON value as a few words."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return _excerpt(value)
        case list():
            return _join([text for one in value[:MAX_LISTED] if (text := _show(one))])
        case dict():
            shown = [f"{_words(key)} {text}" for key, one in list(value.items())[:MAX_LISTED] if (text := _show(one))]
            return f"({', '.join(shown)})" if shown else ""
        case _:
            return str(value)[:MAX_QUOTED]


def _carry_out(text: str, wording: Wording) -> str | None:
    """The answer to a task of a known kind."""
    if _CLASSIFY.search(text[:300]) and (choice := _CHOICE.search(text[:500])):
        choices = [
            one for one in re.split(r"\s*,\s*|\s+(?:or|and)\s+", choice["choices"]) if one not in {"or", "and", ""}
        ]
        return _capital(wording.choose(*choices).removeprefix("or ").removeprefix("and "))
    if _SUMMARISE.search(text[:200]):
        return _summarise(text)
    if _TRANSLATE.search(text[:200]):
        language = _INTO_LANGUAGE.search(text[:200])
        quoted = re.search(r"""["'\u201c](.{1,300}?)["'\u201d]|:\s*(.{1,300})""", text, re.DOTALL)
        original = _excerpt(next(group for group in quoted.groups() if group)) if quoted else ""
        named = language[1].capitalize() if language else "the other language"
        about = f"\u201c{original}\u201d" if original else "your text"
        return (
            f"Here is how you would say {about} in {named}. The wording keeps the meaning and the tone of the original."
        )
    creative = _CREATIVE.search(text[:300])
    if creative:
        return _create(creative["kind"].lower(), (creative["topic"] or _NO_TOPIC).strip(), wording)
    if _CODE.search(text[:300]):
        return _write_code(text)
    listed = _LIST.search(text[:300])
    if listed:
        return _list(listed["count"].lower(), listed["topic"].strip(" :,"))
    return None


def _summarise(text: str) -> str:
    """The first and the longest other sentence of the text."""
    head, _, rest = text[:_MAX_SUMMARISED].partition("\n")
    if not rest.strip():
        head, _, rest = text[:_MAX_SUMMARISED].partition(":")
    if not rest.strip():
        topic = _topic(_SUMMARISE.sub("", head)) or "the text"
        return f"In short, {topic} comes down to a few main points. The rest is detail that can be left out."
    sentences = [one.strip() for one in _SENTENCE.findall(rest) if len(one.split()) > 2]  # noqa: PLR2004  # no headings
    if not sentences:
        return f"In short: {_end(_excerpt(rest))}"
    kept = sentences[:1] + sorted(sentences[1:], key=len, reverse=True)[:1]
    return "In short: " + " ".join(_end(_excerpt(one)) for one in kept)


def _create(kind: str, topic: str, wording: Wording) -> str:
    name = _excerpt(topic, _MAX_TOPIC)
    if kind in {"poem", "haiku", "song", "limerick"}:
        return f"Morning light is here,\nand we think of {name};\nall the world is still."
    if kind == "joke" and topic == _NO_TOPIC:
        return "Why did the computer go to the doctor? Because it had caught a virus!"
    if kind == "joke":
        return f"Why did everybody smile at {name}? Because the punchline arrived right on time!"
    if kind in {"story", "tale"}:
        return (
            f"Once upon a time there was a story about {name}. It began on a quiet morning, when nobody expected anything to happen. "
            "By the evening everything had changed, and everyone was glad that it had."
        )
    if kind in {"email", "letter", "message"}:
        return f"Hello,\n\nI am writing about {name}. Please let me know what you think and when it would suit you.\n\nKind regards"
    opening = wording.choose("Everybody has heard of", "There is more to say about", "It is worth thinking about")
    return f"{opening} {name}. It matters for practical reasons, and it is easier to understand than it seems. Start small and see where it leads."


def _write_code(text: str) -> str:
    words = re.findall(r"[a-z]{3,20}", text.lower())
    name = "_".join([word for word in words if word not in _NOT_IN_NAMES][:3]) or "solve"
    if any(word in _JAVASCRIPT for word in words):
        language, code = "javascript", f"function {name}(value) {{\n  return value;\n}}"
    else:
        language, code = "python", f'def {name}(value):\n    """Return the result for a value."""\n    return value'
    return f"Here is a short example that you can build on.\n\n```{language}\n{code}\n```\n\nCall `{name}` with your value and check the result."


def _list(count: str, topic: str) -> str:
    number = int(count) if count.isdecimal() else _COUNTS.get(count, 3)
    number = min(max(number, 1), MAX_LISTED)
    about = _excerpt(re.sub(r"\Aof\s+", "", topic), _MAX_TOPIC) or "ideas"
    lines = [f"{at}. {note}" for at, note in enumerate(_ITEMS[:number], start=1)]
    return (
        f"Here are {number} {about}:\n\n" + "\n".join(lines) if number > 1 else f"Here is one of {about}. {_ITEMS[0]}"
    )


def _answer_question(text: str, wording: Wording) -> str | None:
    first = text.partition("\n")[0].strip()
    quoted = _excerpt(first, 120).rstrip(" ?.!")
    found = _HOW_TO.match(first)
    if found:
        return f"To {_topic(found['topic'])}, start with a simple plan and take one step at a time. {_close(wording)}"
    found = _WHAT.match(first)
    if found and (topic := _topic(found["topic"])) and not _PREPOSITION.match(topic):
        opening = wording.choose(
            f"You are asking about {topic}.",
            f"Here is a short answer about {topic}.",
            f"There is a short answer and a long one about {topic}.",
            f"Let me tell you about {topic}.",
        )
        return f"{opening} {_explain(wording)} {_close(wording)}"
    if _QUESTION_WORD.match(first) or (quoted and first.endswith("?") and not _YES_NO.match(first)):
        opening = wording.choose(
            f"That is a good question: \u201c{_capital(quoted)}?\u201d",
            f"\u201c{_capital(quoted)}?\u201d is worth a closer look.",
            f"You would like to know: \u201c{_capital(quoted)}?\u201d",
        )
        return f"{opening} {_explain(wording)} {_close(wording)}"
    if _YES_NO.match(first):
        opening = wording.choose(
            "Yes, in most cases.", "In general, yes.", "Usually, but not always.", "As far as I know, yes."
        )
        return f"{opening} You asked: \u201c{_capital(quoted)}?\u201d {_close(wording)}"
    return None


def _explain(wording: Wording) -> str:
    return wording.choose(
        "The short answer is that several things play a part.",
        "In short, it depends on a few things, and the context matters most.",
        "The main point is simple, and the details depend on the context.",
        "There is more than one side to it, and they belong together.",
        "What matters most is usually the simplest explanation.",
    )


def _close(wording: Wording) -> str:
    return wording.choose(
        "I can go into detail if you like.",
        "Let me know which part you would like to look at more closely.",
        "Tell me if you need more, and I will explain it step by step.",
        "Would you like to see an example?",
    )


def _answer_statement(text: str, wording: Wording) -> str:
    if not re.search(r"\w", text):
        return "I am not sure what you mean. Could you tell me more about it?"
    first = text.partition("\n")[0].strip()
    asked = _IMPERATIVE.match(first)
    topic = _topic(_IMPERATIVE.sub("", first))
    if asked and topic:
        opening = wording.choose(
            f"Here is an overview of {topic}.",
            f"Let me say a few words about {topic}.",
            f"Here is what to know about {topic}.",
        )
        return f"{opening} {_explain(wording)} {_close(wording)}"
    quoted = _capital(_excerpt(first, 120).rstrip(" .!?"))
    opening = wording.choose(
        f"Thank you for telling me: \u201c{quoted}.\u201d",
        f"I see: \u201c{quoted}.\u201d",
        f"You wrote: \u201c{quoted}.\u201d I have taken note of that.",
    )
    return f"{opening} {wording.choose('What would you like to do next?', 'How can I help you with that?', 'Tell me more about it.')}"


def _topic(text: str) -> str:
    """What a phrase is about, to stand within a sentence."""
    topic = _excerpt(" ".join(text.split()), _MAX_TOPIC).strip(" .,:;!?\"'")
    first = topic.split(" ", 1)[0]
    if first.lower() in {"the", "a", "an", "your", "my", "our", "this", "that", "some", "in"}:
        topic = topic[0].lower() + topic[1:]
    return re.sub(r"\bmy\b", "your", topic)


def _excerpt(text: str, most: int = MAX_QUOTED) -> str:
    """The text on one line, cut at a word."""
    line = " ".join(text[: most * 2].split())
    return line if len(line) <= most else line[: most - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "\u2026"


def _words(name: str) -> str:
    """An identifier as words: `get_currentWeather` is `get current weather`."""
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+", name[:100])).lower()


def _join(texts: Sequence[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else "".join(texts)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    return _end(_capital(text))


def _end(text: str) -> str:
    return text if text.endswith((".", "!", "?", "\u2026")) else f"{text}."
