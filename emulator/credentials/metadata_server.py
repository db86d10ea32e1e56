"""The metadata server that programs find on Google's own machines. Paths, texts and headers are observed with google-auth."""

from emulator.credentials.jwts import write_id_token
from emulator.credentials.messages import Answer, Asked, Issuer, answer_json
from emulator.engine.timeline.timeline import plain_timeline
from emulator.server.tokens import CLOUD_PLATFORM
from emulator.wire.errors import HTML_TYPE, Refusal
from emulator.wire.headers import Headers

METADATA = "/computeMetadata/"
TOKEN_ENDING = "/token"  # noqa: S105  # the end of a path

_FLAVOR: Headers = (("metadata-flavor", "Google"), ("server", "Metadata Server for VM"))
_TEXT = "application/text"
_NUMBER = "123456789012"
_DEFAULT = "default"


def is_metadata(verb: str, path: str, flavor: str) -> bool:
    """Whether a request is meant for the metadata server; its root is, if the client says so in a header."""
    return verb == "GET" and (path.startswith(METADATA) or (path == "/" and flavor == "Google"))


def default_account(project: str) -> str:
    """The account of the machine that the metadata server speaks for."""
    return f"vertex-emulator@{project}.iam.gserviceaccount.com"


def answer_metadata(asked: Asked, issuer: Issuer) -> Answer:
    """Answer one path of the metadata server; who does not ask with its header is refused, as browsers would not."""
    if asked.headers.get("metadata-flavor") != "Google":
        return _page(403, "Forbidden", "Missing Metadata-Flavor:Google header.")
    if asked.path == "/":
        return _text("computeMetadata/\n")
    path = asked.path.removeprefix(METADATA).removeprefix("v1").strip("/")
    account = default_account(issuer.project)
    parts = path.split("/")
    if parts[:2] == ["instance", "service-accounts"] and parts[2:3] in ([_DEFAULT], [account]):
        return _answer_account(parts[3:], asked, issuer, account)
    found = _texts(issuer.project, account).get(path)
    return _page(404, "Not Found", "The requested URL was not found on this server.") if found is None else _text(found)


def _texts(project: str, account: str) -> dict[str, str]:
    return {
        "": "instance/\nproject/\nuniverse/\n",
        "instance": "service-accounts/\nzone\n",
        "instance/service-accounts": f"{_DEFAULT}/\n{account}/\n",
        "instance/zone": f"projects/{_NUMBER}/zones/us-central1-a",
        "project": "numeric-project-id\nproject-id\n",
        "project/numeric-project-id": _NUMBER,
        "project/project-id": project,
        "universe": "universe-domain\n",
        "universe/universe-domain": "googleapis.com",
    }


def _answer_account(parts: list[str], asked: Asked, issuer: Issuer, account: str) -> Answer:
    scopes = tuple(asked.query.get("scopes", "").replace(",", " ").split()) or (CLOUD_PLATFORM,)
    match parts:
        case [] if asked.query.get("recursive", "").lower() == "true":
            return _json({"aliases": [_DEFAULT], "email": account, "scopes": [CLOUD_PLATFORM]})
        case []:
            return _text("aliases\nemail\nidentity\nscopes\ntoken\n")
        case ["aliases"]:
            return _text(_DEFAULT)
        case ["email"]:
            return _text(account)
        case ["scopes"]:
            return _text(f"{CLOUD_PLATFORM}\n")
        case ["token"]:
            token, lifetime = issuer.issue(scopes, account)
            return _json({"access_token": token, "expires_in": lifetime, "token_type": "Bearer"})
        case ["identity"] if asked.query.get("audience"):
            return _text(write_id_token(asked.query["audience"], account, issuer.now, issuer.lifetime))
        case ["identity"]:
            return _page(400, "Bad Request", "non-empty audience parameter required")
    return _page(404, "Not Found", "The requested URL was not found on this server.")


def _json(fields: dict[str, object]) -> Answer:
    return answer_json(fields, content_type="application/json", headers=_FLAVOR)


def _text(text: str) -> Answer:
    return Answer(plain_timeline(200, _TEXT, text.encode(), _FLAVOR), {})


def _page(status: int, title: str, words: str) -> Answer:
    page = f"<!DOCTYPE html>\n<html lang=en>\n  <title>Error {status} ({title})!!1</title>\n  <p>{words}\n"
    refusal = Refusal(status, None, page, None, "html", None, "metadata", "", words)
    return Answer(plain_timeline(status, HTML_TYPE, page.encode(), _FLAVOR), {}, refusal)
