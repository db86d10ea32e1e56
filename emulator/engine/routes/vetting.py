"""What routes refuse alike: hosts that do not serve the path, and on routes other than chat completions, models."""

from collections.abc import Collection
from dataclasses import replace
from html import escape

from emulator.catalogue.models import find_model
from emulator.engine.error_answers import refuse, values_for
from emulator.engine.reply.parts import MediaPart, Part
from emulator.engine.request.facts import Facts
from emulator.errors import AnswerError
from emulator.wire.errors import Refusal
from emulator.wire.urls import Target, explain_foreign_host, read_host


def refuse_model(facts: Facts, *, families: Collection[str], serves: str) -> Refusal | None:
    """Refuse a model that this path does not serve, and a known one that is retired.

    The form of a model is checked as for chat (observed there). That models of other families are refused is documented
    for Grok's path and inferred for the others; the text is assumed. Models that the catalogue lacks pass.
    """
    publisher, slash, name = facts.model.partition("/")
    if not (publisher and slash and name):
        given = f'"{facts.model}"' if facts.model else "nothing"
        explanation = f'model is {given}; this path expects "<publisher>/<model>", and serves {serves}'
        values = {**values_for(facts.target), "MODEL": facts.model}
        return refuse("malformed_publisher_model", values, place="model", explanation=explanation)
    card = find_model(facts.model)
    if card is None:
        return None
    if card.family not in families:
        return refuse_argument(facts, "model", f'model is "{facts.model}"; {facts.target.method} serves {serves}')
    if card.retired == "confirmed":
        return refuse_argument(facts, "model", f'model is "{facts.model}", which is retired')
    return None


def refuse_host(target: Target, header: str) -> Refusal | None:
    """Refuse a host of Google's at which Vertex AI is not (observed for some), or not for the path's location (assumed).

    Observed: `global-aiplatform` answers the HTML page, `us-` and `eu-aiplatform` a bare object since September 2026.
    """
    host = read_host(header)
    if host is None:
        reason = explain_foreign_host(header)
        if not reason:
            return None
        values = {**values_for(target), "PATH": escape(target.path, quote=False)}
        return refuse("html_not_found", values, place="the host", explanation=reason)
    if host.serves(target.location):
        return None
    values = {**values_for(target), "PATH": escape(target.path, quote=False), "HOST": host.name}
    if not host.is_wrong:
        explanation = f"{host.name} serves {host.location}, but the path says locations/{target.location}"
        return refuse("html_not_found", values, place="the host", explanation=explanation)
    name = "invalid_hostname" if host.name.startswith(("us-aiplatform", "eu-aiplatform")) else "html_not_found"
    return refuse(name, values, place="the host", explanation=host.advice)


def refuse_argument(facts: Facts, place: str, explanation: str) -> Refusal:
    """Refuse an argument for which no text of its own is known."""
    return refuse("generic_invalid_argument", values_for(facts.target), place=place, explanation=explanation)


def as_unary(refusal: Refusal, target: Target) -> Refusal:
    """A refusal as unary methods send it: a bare object (observed on GetEndpoint)."""
    named = refusal.rule == "missing_credentials" and not target.method
    return replace(refusal, framing="object", rule="missing_credentials_get_endpoint" if named else refusal.rule)


def refuse_unary(target: Target) -> Refusal:
    """Refuse a GET of the endpoint itself or of a stored response, neither of which ever exists (texts assumed)."""
    if not target.method:
        explanation = "the endpoint itself is no resource; POST to its chat/completions"
        found = refuse("self_deployed_endpoint_not_found", values_for(target), explanation=explanation)
    else:
        explanation = "no response is stored; `store` is false by default, and the emulator keeps none"
        found = refuse("response_not_found", values_for(target), explanation=explanation)
    return as_unary(found, target)


def forbid_media(part: Part, target: Target) -> None:
    """Raise AnswerError for media, which these routes cannot carry."""
    if isinstance(part, MediaPart):
        raise AnswerError(f"{target.method} carries text, but the reply has a picture or sound")
