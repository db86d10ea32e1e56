"""The error catalogue: every entry is well formed and can be found by all of its keys."""

import json
import re
from dataclasses import replace
from typing import get_args

import pytest

from emulator.catalogue import errors
from emulator.catalogue.errors import CatalogueError

ALL = errors.all_errors()
SURE = [each for each in ALL if each.confidence != "low"]

# What the request tells: whoever sends an error can always fill these.
OF_THE_REQUEST = {"API_VERSION", "LOCATION", "MODEL", "PATH", "PROJECT", "PUBLISHER"}


def named(each: CatalogueError) -> str:
    """Name a test's case after its entry."""
    return each.name


def placeholders(each: CatalogueError) -> set[str]:
    """Return the placeholders of message and details."""
    return set(re.findall(r"\{([A-Z][A-Z0-9_]*)\}", json.dumps([each.message, each.details])))


def test_names_are_unique() -> None:
    """No two entries of the data file have the same name: the reader would lose one of them."""
    assert len(ALL) == 95
    assert len({each.name for each in ALL}) == len(ALL)


@pytest.mark.parametrize("each", ALL, ids=named)
def test_entry_is_well_formed(each: CatalogueError) -> None:
    """An entry has a guessable name, values of its types, and says when it comes and where it is from."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*", each.name)
    assert each.framing in get_args(errors.Framing)
    assert each.service in get_args(errors.Service)
    assert each.confidence in get_args(errors.Confidence)
    assert each.when
    assert not each.when.endswith(".")
    assert each.source.startswith(("documented", "observed", "assumed"))


@pytest.mark.parametrize("each", ALL, ids=named)
def test_statuses_agree(each: CatalogueError) -> None:
    """The HTTP status is the number in the body, except for an error inside a stream that began with 200."""
    assert 400 <= each.code <= 599
    assert each.http_status == (200 if each.framing == "raw" else each.code)
    assert (each.status is None) == (each.framing in {"html", "oauth", "vllm"})


@pytest.mark.parametrize("each", SURE, ids=named)
def test_message_can_be_sent(each: CatalogueError) -> None:
    """A text that was seen or documented is not empty, and needs nothing but what the request tells."""
    assert each.message
    assert placeholders(each) - set(each.defaults) <= OF_THE_REQUEST


@pytest.mark.parametrize("each", ALL, ids=named)
def test_defaults_belong_to_placeholders(each: CatalogueError) -> None:
    """A default that no placeholder asks for is a misspelling."""
    assert set(each.defaults) <= placeholders(each)


@pytest.mark.parametrize("each", ALL, ids=named)
def test_details_are_google_types(each: CatalogueError) -> None:
    """Each detail names its protobuf type."""
    for detail in each.details or []:
        assert detail["@type"].startswith("type.googleapis.com/google.rpc.")


@pytest.mark.parametrize("key", errors.names())
def test_every_key_is_found(key: str) -> None:
    """Every key that is offered to users finds an error, in any case and with blanks around it."""
    found = errors.find(key)
    assert found is not None
    assert errors.find(f" {key.upper()} ") == errors.find(key.lower()) == found


def test_keys_are_names_statuses_numbers() -> None:
    """Names come first, then statuses, then numbers."""
    keys = errors.names()
    assert keys[: len(ALL)] == tuple(each.name for each in ALL)
    assert keys[-1] == "504"
    assert keys[len(ALL)] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (400, "generic_invalid_argument"),
        ("401", "invalid_token"),
        (403, "permission_denied_predict"),
        (404, "publisher_model_not_found"),
        (429, "resource_exhausted"),
        (499, "cancelled"),
        (500, "internal"),
        (503, "unavailable"),
        (504, "deadline_exceeded"),
        ("failed_precondition", "publisher_model_not_allowed"),
        ("Unauthenticated", "invalid_token"),
        ("expired_token", "expired_token"),
    ],
)
def test_find(key: int | str, name: str) -> None:
    """A number, a status and a name each stand for one entry."""
    assert errors.find(key) is errors.entry(name)


@pytest.mark.parametrize(
    ("number", "each"), [(int(each), errors.find(each)) for each in errors.names() if each.isdecimal()]
)
def test_number_finds_its_own_status(number: int, each: CatalogueError) -> None:
    """An HTTP status finds an error that is sent with it."""
    assert each.http_status == number


@pytest.mark.parametrize("status", [each for each in errors.names() if each.isupper()])
def test_status_finds_itself(status: str) -> None:
    """A status name finds an error of that status."""
    found = errors.find(status)
    assert found is not None
    assert found.status == status


@pytest.mark.parametrize("status", sorted({each.status for each in ALL if each.status}))
def test_every_status_is_a_key(status: str) -> None:
    """There is no status in the catalogue that a scenario could not name."""
    assert status in errors.names()


@pytest.mark.parametrize("key", ["", "resource_exausted", 418, "419", -1, "²"])
def test_unknown_keys_find_nothing(key: int | str) -> None:
    """Other keys find nothing."""
    assert errors.find(key) is None


def test_fill_replaces_in_message_and_details() -> None:
    """Placeholders are replaced wherever text stands, and the entry itself does not change."""
    denied = errors.entry("permission_denied_predict")
    before = json.dumps(denied.details)
    message, details = denied.fill(PROJECT="p-1", LOCATION="global")
    assert "'//aiplatform.googleapis.com/projects/p-1/locations/global/endpoints/openapi'" in message
    assert details is not None
    assert details[0]["metadata"]["resource"] == "projects/p-1/locations/global/endpoints/openapi"
    assert json.dumps(denied.details) == before


def test_fill_keeps_what_it_is_not_told() -> None:
    """A placeholder with neither value nor default stays, and braces that are none are left alone."""
    message, details = errors.entry("malformed_publisher_model").fill(PROJECT="p-1")
    assert "'{MODEL}'" in message
    assert details is None
    odd = replace(errors.entry("internal"), message="{} {0} {model} {MODEL!r} {MODEL}")
    assert odd.fill(MODEL="m")[0] == "{} {0} {model} {MODEL!r} m"


def test_fill_does_not_read_values() -> None:
    """A value that looks like a placeholder or a format is sent as it is."""
    message, _ = errors.entry("publisher_model_not_found").fill(PROJECT="{MODEL}", MODEL="{PROJECT.__class__}")
    assert "projects/{MODEL}/" in message
    assert "models/{PROJECT.__class__}`" in message


def test_fill_prefers_values_to_defaults() -> None:
    """A default stands in only where no value is given."""
    too_many = errors.entry("max_output_tokens_range")
    assert (
        "value of 9 but the supported range is from 1 (inclusive) to 65537 (exclusive)" in too_many.fill(VALUE="9")[0]
    )
    assert "to 8193 (exclusive)" in too_many.fill(MAX_PLUS_1="8193")[0]


def test_token_endpoint_error_has_its_own_keys() -> None:
    """What a token endpoint sends beside its description is kept."""
    assert errors.entry("token_rapt_required").extra == {
        "error": "invalid_grant",
        "error_uri": "https://support.google.com/a/answer/9368756",
        "error_subtype": "invalid_rapt",
    }
