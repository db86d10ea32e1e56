"""Checks of media in the messages: MIME types, kinds, audio formats, and image detail."""

from emulator.catalogue.models import LEVELS_FROM, find_model
from emulator.engine.request.media import media_in, type_of_part
from emulator.engine.vetting.context import VettingContext
from emulator.wire.errors import Refusal

_GEMINI_API_AUDIO_FORMATS = frozenset({"wav", "mp3"})
_MEDIA_NAMES = {"image": "an image", "audio": "audio", "video": "video", "document": "a document"}


_READABLE_TYPES = ("image/", "audio/", "video/", "text/")
_PDF = frozenset({"application/pdf", "application/x-pdf"})
_OFFICE_TYPES = ("application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument.")
_OLD_OFFICE_TYPES = frozenset({"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"})


def check_mime_type(context: VettingContext) -> Refusal | None:
    """Observed on the native route: Gemini refuses files that are neither media nor text. Documented: some read those of Office too."""
    if not context.is_gemini:
        return None
    card = context.facts.card
    for path, part in context.media_parts:
        written = type_of_part(part) or ""
        mime_type = written.strip().lower()
        is_office = mime_type.startswith(_OFFICE_TYPES) or mime_type in _OLD_OFFICE_TYPES
        if mime_type.startswith(_READABLE_TYPES) or mime_type in _PDF:
            continue
        if is_office and card is not None and card.office_documents:
            continue
        explanation = f'this part is "{written}"; {context.facts.model} reads images, audio, video, text and PDF'
        return context.refuse("mime_type_unsupported", path, explanation, MIME_TYPE=written)
    return None


def check_media(context: VettingContext) -> Refusal | None:
    """Assumed: media that a model does not read are refused. Only where the catalogue knows the model."""
    if not context.facts.target.is_openapi or not context.media_parts:
        return None
    card = find_model(context.facts.model)
    if card is None:
        return None
    for path, part in context.media_parts:
        for medium in media_in(part) - {"gs_uri"}:
            if medium not in card.input_media:
                reads = " and ".join(["text", *card.input_media])
                explanation = f"this part is {_MEDIA_NAMES[medium]}; {card.id} reads {reads}"
                return context.refuse("generic_invalid_argument", path, explanation)
    return None


def check_audio_format(context: VettingContext) -> Refusal | None:
    """Documented: any MIME type is a format. The quirk refuses all but two, as the Gemini API does (observed there)."""
    if "audio_formats_refused" not in context.policy.quirks:
        return None
    for path, part in context.media_parts:
        written = (part.get("input_audio") or {}).get("format")
        if written is not None and written not in _GEMINI_API_AUDIO_FORMATS:
            explanation = f'the format is "{written}"; the quirk audio_formats_refused is on, so send wav or mp3'
            place = (*path, "input_audio", "format")
            return context.refuse("audio_format_gemini_api", place, explanation, FORMAT=written)
    return None


def check_image_detail(context: VettingContext) -> Refusal | None:
    """Documented: before Gemini 3, `detail` is one for the whole request. Assumed: `auto` goes with any other."""
    if not context.is_before(LEVELS_FROM):
        return None
    first: str | None = None
    for path, part in context.media_parts:
        image = part.get("image_url")
        detail = image.get("detail") if isinstance(image, dict) else None
        if detail is None or detail == "auto":
            continue
        if first is not None and detail != first:
            explanation = (
                f'this image asks for the detail "{detail}", one before it for "{first}"; '
                f"{context.facts.model} has one detail for all images of a request"
            )
            return context.refuse("mixed_image_detail", (*path, "image_url", "detail"), explanation)
        first = detail
    return None
