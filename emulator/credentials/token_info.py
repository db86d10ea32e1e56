"""Token info and revocation."""

from typing import Any

from emulator.credentials.messages import Answer, Asked, Issuer, answer_json, refuse_token


def answer_info(asked: Asked, issuer: Issuer) -> Answer:
    """What a token of ours is good for; numbers are texts, as Google writes them (observed)."""
    text = asked.text("access_token")
    if not text:
        return refuse_token("token_parameter_missing", "the request has no `access_token`", PARAMETER="access_token")
    token = issuer.mint.read(text)
    if token is None or issuer.now >= token.expiry:
        explanation = "the token was not issued by this emulator" if token is None else "the token has expired"
        return refuse_token("token_invalid_value", explanation)
    reply: dict[str, Any] = {
        "scope": " ".join(token.scopes),
        "exp": str(token.expiry),
        "expires_in": str(int(token.expiry - issuer.now)),
        "access_type": "online",
    }
    if token.account:
        reply |= {"email": token.account, "email_verified": "true"}
    return answer_json(reply)


def answer_revocation(asked: Asked, _issuer: Issuer) -> Answer:
    """Say that a token is revoked; nobody remembers it, so it stays good until it expires."""
    if not asked.text("token"):
        return refuse_token("token_parameter_missing", "the request has no `token`", PARAMETER="token")
    return answer_json({})
