"""URLs."""

import pytest

from emulator.wire.urls import Target, parse_target

CHAT = "/projects/p-1/locations/{}/endpoints/{}/chat/completions"


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("location", ["us-central1", "global", "us", "eu"])
@pytest.mark.parametrize("endpoint", ["openapi", "1234567890"])
def test_documented_urls_have_a_target(version: str, location: str, endpoint: str) -> None:
    """Every documented form of the URL is understood."""
    path = f"/{version}{CHAT.format(location, endpoint)}"
    assert parse_target(path) == Target(version, "p-1", location, endpoint)
    assert Target(version, "p-1", location, endpoint).path == path


@pytest.mark.parametrize(
    "path",
    [
        "/v1/projects/p/locations/l/endpoints/openapi/models",
        "/v1/projects/p/locations/l/endpoints/openapi/chat/completions/",
        "/v1/projects/p/locations/l/endpoints/openapi/chat/completions/chat/completions",
        "/v2/projects/p/locations/l/endpoints/openapi/chat/completions",
        "/v1/projects//locations/l/endpoints/openapi/chat/completions",
        "/v1/chat/completions",
        "/",
        "",
    ],
)
def test_other_paths_have_none(path: str) -> None:
    """What the real front end does not route has no target."""
    assert parse_target(path) is None
