"""Checks of `model`: its form, and whether such a model exists."""

from emulator.catalogue.models import find_model
from emulator.engine.vetting.context import VettingContext
from emulator.wire.errors import Refusal


def check_model_form(context: VettingContext) -> Refusal | None:
    """Observed: a model without publisher is refused; absent or empty assumed to be so too. Own endpoints need none."""
    model = context.facts.model
    publisher, slash, name = model.partition("/")
    if not context.facts.target.is_openapi or (publisher and slash and name):
        return None
    if model and not slash and "bare_models" in context.policy.quirks:
        return None
    given = f'"{model}"' if model else "nothing"
    explanation = (
        f'model is {given}; the openapi endpoint expects "<publisher>/<model>", such as "google/gemini-2.5-flash"'
    )
    return context.refuse("malformed_publisher_model", ("model",), explanation, MODEL=model)


def check_model(context: VettingContext) -> Refusal | None:
    """Observed: a model that does not exist, or no more, is not found. Only looked at under `--models known`."""
    if context.policy.models == "any" or not context.facts.target.is_openapi:
        return None
    card = find_model(context.facts.model)
    if card is not None and not card.retired:
        return None
    what = "is not in the catalogue" if card is None else "has been retired"
    explanation = f'the model "{context.facts.model}" {what}; `vertex-emulator models` lists those that are answered'
    return context.refuse("publisher_model_not_found", ("model",), explanation)
