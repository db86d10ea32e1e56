"""Media in the messages: what the model reads, and how closely it is to look."""

from emulator.catalogue.models import LEVELS_FROM, find_model
from emulator.engine.request.media import media_in
from emulator.engine.vetting.case import Case
from emulator.wire.errors import Refusal

_SIBLING_FORMATS = frozenset({"wav", "mp3"})


def check_media(case: Case) -> Refusal | None:
    """Assumed: media that a model does not read are refused. Only where the catalogue knows the model."""
    if not case.facts.target.is_openapi or not case.media_parts:
        return None
    card = find_model(case.facts.model)
    if card is None:
        return None
    for keys, part in case.media_parts:
        for medium in media_in(part) - {"gs_uri"}:
            if medium not in card.input_media:
                reads = " and ".join(["text", *card.input_media])
                explanation = f"this part is {_say(medium)}; {card.id} reads {reads}"
                return case.refuse("generic_invalid_argument", keys, explanation)
    return None


def check_audio_format(case: Case) -> Refusal | None:
    """Documented: any MIME type is a format. The quirk refuses all but two, as the Gemini API does (observed there)."""
    if "audio_formats_refused" not in case.policy.quirks:
        return None
    for keys, part in case.media_parts:
        written = (part.get("input_audio") or {}).get("format")
        if written is not None and written not in _SIBLING_FORMATS:
            explanation = f'the format is "{written}"; the quirk audio_formats_refused is on, so send wav or mp3'
            place = (*keys, "input_audio", "format")
            return case.refuse("audio_format_gemini_api", place, explanation, FORMAT=written)
    return None


def check_image_detail(case: Case) -> Refusal | None:
    """Documented: before Gemini 3, `detail` is one for the whole request. Assumed: `auto` goes with any other."""
    if not case.is_before(LEVELS_FROM):
        return None
    first: str | None = None
    for keys, part in case.media_parts:
        image = part.get("image_url")
        detail = image.get("detail") if isinstance(image, dict) else None
        if detail is None or detail == "auto":
            continue
        if first is not None and detail != first:
            explanation = (
                f'this image asks for the detail "{detail}", one before it for "{first}"; '
                f"{case.facts.model} has one detail for all images of a request"
            )
            return case.refuse("mixed_image_detail", (*keys, "image_url", "detail"), explanation)
        first = detail
    return None


def _say(medium: str) -> str:
    return {"image": "an image", "audio": "audio", "video": "video"}.get(medium, "a document")
