"""Vetting: what Vertex itself would refuse, before any rule is asked."""

from collections.abc import Callable, Iterator

from emulator.engine.composing import MOST_CHOICES
from emulator.engine.facts import SYSTEM_ROLES, Facts
from emulator.engine.refusing import refuse, values_for
from emulator.wire.refusals import Refusal
from emulator.wire.requests import MalformedRequestError
from emulator.wire.targets import Target

Check = Callable[[Facts], Refusal | None]


def refuse_malformed(error: MalformedRequestError, target: Target) -> Refusal:
    """The refusal of a body that is not JSON, or whose JSON has the wrong shape (status documented, texts assumed)."""
    if error.is_json:
        return refuse("generic_invalid_argument", values_for(target), place=error.place, explanation=error.explanation)
    message = f"Invalid JSON payload received. {error.explanation.capitalize()}\n{error.snippet}"
    return refuse(
        "invalid_json_payload", values_for(target), place=error.place, explanation=error.explanation, message=message
    )


def vet(facts: Facts) -> Refusal | None:
    """The refusal a request meets, or None: model form first, then fields (order assumed)."""
    return next(_refusals(facts), None)


def _refusals(facts: Facts) -> Iterator[Refusal]:
    for check in _CHECKS:
        refusal = check(facts)
        if refusal is not None:
            yield refusal


def _model_form(facts: Facts) -> Refusal | None:
    """Observed: a model without publisher is refused; absent or empty assumed to be so too. Own endpoints need none."""
    publisher, slash, name = facts.model.partition("/")
    if not facts.target.is_openapi or (publisher and slash and name):
        return None
    given = f'"{facts.model}"' if facts.model else "nothing"
    explanation = (
        f'model is {given}; the openapi endpoint expects "<publisher>/<model>", such as "google/gemini-2.5-flash"'
    )
    values = {**values_for(facts.target), "MODEL": facts.model}
    return refuse("malformed_publisher_model", values, place="model", explanation=explanation)


def _contents(facts: Facts) -> Refusal | None:
    """Observed: at least one message that is no system message is needed."""
    if any(message.get("role") not in SYSTEM_ROLES for message in facts.messages):
        return None
    explanation = "messages is empty" if not facts.messages else "messages holds only system messages"
    if facts.request.get("messages") is None:
        explanation = "messages is missing"
    return refuse("contents_required", values_for(facts.target), place="messages", explanation=explanation)


def _candidates(facts: Facts) -> Refusal | None:
    """Observed: a number of candidates out of range is refused."""
    count = facts.request.get("n")
    if count is None or 1 <= count <= MOST_CHOICES:
        return None
    values = {**values_for(facts.target), "N": str(count), "MAX_PLUS_1": str(MOST_CHOICES + 1)}
    explanation = f"n is {count}; expected 1 to {MOST_CHOICES}"
    return refuse("candidate_count_range", values, place="n", explanation=explanation)


_CHECKS: tuple[Check, ...] = (_model_form, _contents, _candidates)
