"""URLs: which paths are routed, and the method that errors name for each."""

import pytest

from emulator.wire.urls import CHAT, Target, parse_target, parse_unary

CHAT_PATH = "/projects/p-1/locations/{}/endpoints/{}/chat/completions"
ROOT = "/v1/projects/p-1/locations/global/endpoints/openapi"


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("location", ["us-central1", "global", "us", "eu"])
@pytest.mark.parametrize("endpoint", ["openapi", "1234567890"])
def test_documented_urls_have_a_target(version: str, location: str, endpoint: str) -> None:
    """Every documented form of the URL is understood."""
    path = f"/{version}{CHAT_PATH.format(location, endpoint)}"
    assert parse_target(path) == Target(version, "p-1", location, endpoint)
    assert Target(version, "p-1", location, endpoint).path == path


@pytest.mark.parametrize(
    "path",
    [
        "/v1/projects/p/locations/l/endpoints/openapi/models",
        "/v1/projects/p/locations/l/endpoints/openapi/chat/completions//",
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


@pytest.mark.parametrize("method", [CHAT, "embeddings", "completions", "responses"])
def test_post(method: str) -> None:
    """Chat and the three other routes are found by what follows the endpoint, and give their path back."""
    target = parse_target(f"{ROOT}/{method}")
    assert target == Target("v1", "p-1", "global", "openapi", method)
    assert (target.path, target.is_unary) == (f"{ROOT}/{method}", False)
    assert parse_target(f"{ROOT}/{method}/") == target


@pytest.mark.parametrize(
    "path",
    [
        ROOT,
        f"{ROOT}/models",
        f"{ROOT}/",
        f"{ROOT}/responses/r-1",
        "/v1/projects/p-1/locations/global/endpoints/123/embeddings",
    ],
)
def test_nothing_else_is_posted_to(path: str) -> None:
    """Other routes exist on the shared endpoint only, and there is no list of models."""
    assert parse_target(path) is None


def test_get_endpoint() -> None:
    """The endpoint itself is a unary method, whichever endpoint it is."""
    for endpoint in ("openapi", "123"):
        target = parse_unary("GET", ROOT.replace("openapi", endpoint))
        assert target == Target("v1", "p-1", "global", endpoint, "")
        assert (target.is_unary, target.rpc) == (True, "EndpointService.GetEndpoint")
        assert target.path == ROOT.replace("openapi", endpoint)


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
def test_stored_responses(verb: str) -> None:
    """Stored responses can be named in v1beta1 only."""
    path = f"{ROOT}/responses/r-1"
    target = parse_unary(verb, path.replace("/v1/", "/v1beta1/"))
    assert target == Target("v1beta1", "p-1", "global", "openapi", "responses/r-1")
    assert target.is_unary
    assert parse_unary(verb, path) is None


@pytest.mark.parametrize(("verb", "path"), [("DELETE", ROOT), ("GET", f"{ROOT}/models"), ("GET", f"{ROOT}/embeddings")])
def test_other_unary_calls_are_not_routed(verb: str, path: str) -> None:
    """Nothing else answers a GET or a DELETE."""
    assert parse_unary(verb, path) is None


@pytest.mark.parametrize(
    ("method", "rpc"), [(CHAT, "PredictionService.ChatCompletions"), ("embeddings", "PredictionService.Invoke")]
)
def test_rpc(method: str, rpc: str) -> None:
    """Errors name the method behind the path."""
    assert Target("v1", "p", "global", "openapi", method).rpc == rpc
