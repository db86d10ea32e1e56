"""The emulator's own access tokens, and the bearer check on them."""

import json

import pytest

from emulator.engine.ruleset import compile_rules
from emulator.scenario.loading import read_text
from emulator.server.authentication import Credentials, check_bearer
from emulator.server.clock import ManualClock
from emulator.server.service import Service
from emulator.server.settings import Auth, Settings
from emulator.server.tokens import CLOUD_PLATFORM, Mint, Token
from emulator.wire.urls import Target

NOW = 1_750_000_000.0
READ_ONLY = "https://www.googleapis.com/auth/devstorage.read_only"
ACCOUNT = "me@demo.iam.gserviceaccount.com"


def test_tokens_carry_expiry_scopes_and_account() -> None:
    """They can be read by all with the same secret."""
    token = Mint(b"secret").issue(NOW, 60, ["openid", READ_ONLY], ACCOUNT)
    assert Mint(b"secret").read(token) == Token(int(NOW) + 60, ("openid", READ_ONLY), ACCOUNT)
    assert Mint(b"other").read(token) is None


def test_tokens_look_like_googles() -> None:
    """They have Google's prefix, are valid header values, and are unique."""
    mint = Mint()
    tokens = {mint.issue(NOW) for _ in range(20)}
    assert len(tokens) == 20
    for token in tokens:
        assert token.startswith("ya29.")
        assert token.isascii()
        assert token.isprintable()
        assert "=" not in token
        assert "emulator" not in token


def test_modified_tokens_are_foreign() -> None:
    """One changed, missing or added character makes the token foreign."""
    mint = Mint()
    token = mint.issue(NOW)
    for at in range(len(token)):
        assert mint.read(token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]) is None
    for text in (
        "",
        "ya29.",
        "ya29.c.b0",
        "ya29.c.b0AAAA",
        "ya29.é",
        token[:-1],
        f"{token}A",
        f"{token}=",
        f"{token}\n",
    ):
        assert mint.judge(text, NOW) == "foreign"


@pytest.mark.parametrize(
    ("lifetime", "scopes", "verdict"),
    [
        (60, [CLOUD_PLATFORM], "valid"),
        (60, ["openid", CLOUD_PLATFORM], "valid"),
        (60, [READ_ONLY], "mis-scoped"),
        (60, [], "mis-scoped"),
        (0, [CLOUD_PLATFORM], "expired"),
        (-60, [READ_ONLY], "expired"),
    ],
)
def test_token_status(lifetime: float, scopes: list[str], verdict: str) -> None:
    """A token is valid until it expires, for its scopes."""
    mint = Mint()
    assert mint.judge(mint.issue(NOW, lifetime, scopes), NOW) == verdict


@pytest.mark.parametrize(
    ("auth", "lifetime", "scope", "expected"),
    [
        ("issued", 60, CLOUD_PLATFORM, None),
        ("any", 60, CLOUD_PLATFORM, None),
        ("issued", -1, CLOUD_PLATFORM, (401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED")),
        ("any", -1, CLOUD_PLATFORM, (401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED")),
        ("issued", 60, READ_ONLY, (403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")),
        ("any", 60, READ_ONLY, (403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")),
        ("off", -1, READ_ONLY, None),
    ],
)
def test_bearers_of_ours(auth: Auth, lifetime: float, scope: str, expected: tuple[int, str, str] | None) -> None:
    """Invalid tokens of the emulator are refused with `--auth any` and with `issued`."""
    mint = Mint()
    target = Target("v1", "p", "us-central1", "openapi")
    credentials = Credentials(mint.issue(NOW, lifetime, [scope]), has_api_key=False)
    refusal = check_bearer(auth, target, credentials, mint, NOW)
    if refusal is None:
        assert expected is None
        return
    assert refusal.details
    assert (refusal.code, refusal.status, refusal.details[0]["reason"]) == expected
    assert "google.cloud.aiplatform.v1.PredictionService.ChatCompletions" in json.dumps(refusal.details)


def test_foreign_tokens_with_auth_issued() -> None:
    """With `--auth issued` another emulator's token is of an unsupported type."""
    target = Target("v1", "p", "us-central1", "openapi")
    credentials = Credentials(Mint().issue(NOW), has_api_key=False)
    assert check_bearer("any", target, credentials, Mint(), NOW) is None
    refusal = check_bearer("issued", target, credentials, Mint(), NOW)
    assert refusal is not None
    assert refusal.code == 401
    assert refusal.details
    assert refusal.details[0]["reason"] == "ACCESS_TOKEN_TYPE_UNSUPPORTED"


@pytest.mark.parametrize("auth", ["any", "issued"])
def test_an_accepted_token_is_refused_after_it_expires(auth: Auth) -> None:
    """Also for a repeated request whose options are cached."""
    clock = ManualClock(NOW)
    service = Service(compile_rules(read_text("rules: [{reply: Hi.}]").scenarios), Settings(auth=auth), clock=clock)
    headers = [(b"authorization", f"Bearer {service.mint.issue(NOW, 60)}".encode())]
    body = json.dumps({"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}]}).encode()

    def ask() -> int:
        return service.handle(Target("v1", "p", "us-central1", "openapi"), b"", headers, body).status

    statuses = [ask(), ask()]
    clock.advance(59)
    statuses.append(ask())
    clock.advance(1)
    statuses += [ask(), ask()]
    assert statuses == [200, 200, 200, 401, 401]
