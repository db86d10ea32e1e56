"""The metadata server of Google's virtual machines. Paths, texts and headers are observed with google-auth."""

from emulator.credentials.id_tokens import make_id_token
from emulator.credentials.messages import CredentialRequest, CredentialResponse, TokenIssuer, answer_json
from emulator.engine.timeline.timeline import plain_timeline
from emulator.server.tokens import CLOUD_PLATFORM
from emulator.wire.errors import HTML_TYPE, Refusal
from emulator.wire.headers import Headers

METADATA_PATH = "/computeMetadata/"
TOKEN_SUFFIX = "/token"  # noqa: S105  # the end of a path

_HEADERS: Headers = (("metadata-flavor", "Google"), ("server", "Metadata Server for VM"))
_TEXT = "application/text"
_PROJECT_NUMBER = "123456789012"
_DEFAULT = "default"


def is_metadata_request(verb: str, path: str, flavor: str) -> bool:
    """Whether a request is meant for the metadata server: by its path, or at `/` by its header `Metadata-Flavor`."""
    return verb == "GET" and (path.startswith(METADATA_PATH) or (path == "/" and flavor == "Google"))


def default_account(project: str) -> str:
    """The service account of the emulated machine."""
    return f"vertex-emulator@{project}.iam.gserviceaccount.com"


def answer_metadata(request: CredentialRequest, issuer: TokenIssuer) -> CredentialResponse:
    """Answer one path of the metadata server; requests without `Metadata-Flavor: Google` are refused."""
    if request.headers.get("metadata-flavor") != "Google":
        return _page(403, "Forbidden", "Missing Metadata-Flavor:Google header.")
    if request.path == "/":
        return _text("computeMetadata/\n")
    path = request.path.removeprefix(METADATA_PATH).removeprefix("v1").strip("/")
    account = default_account(issuer.project)
    parts = path.split("/")
    if parts[:2] == ["instance", "service-accounts"] and parts[2:3] in ([_DEFAULT], [account]):
        return _answer_account(parts[3:], request, issuer, account)
    found = _texts(issuer.project, account).get(path)
    return _page(404, "Not Found", "The requested URL was not found on this server.") if found is None else _text(found)


def _texts(project: str, account: str) -> dict[str, str]:
    return {
        "": "instance/\nproject/\nuniverse/\n",
        "instance": "service-accounts/\nzone\n",
        "instance/service-accounts": f"{_DEFAULT}/\n{account}/\n",
        "instance/zone": f"projects/{_PROJECT_NUMBER}/zones/us-central1-a",
        "project": "numeric-project-id\nproject-id\n",
        "project/numeric-project-id": _PROJECT_NUMBER,
        "project/project-id": project,
        "universe": "universe-domain\n",
        "universe/universe-domain": "googleapis.com",
    }


def _answer_account(
    parts: list[str], request: CredentialRequest, issuer: TokenIssuer, account: str
) -> CredentialResponse:
    scopes = tuple(request.query.get("scopes", "").replace(",", " ").split()) or (CLOUD_PLATFORM,)
    match parts:
        case [] if request.query.get("recursive", "").lower() == "true":
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
        case ["identity"] if request.query.get("audience"):
            return _text(make_id_token(request.query["audience"], account, issuer.now, issuer.lifetime))
        case ["identity"]:
            return _page(400, "Bad Request", "non-empty audience parameter required")
    return _page(404, "Not Found", "The requested URL was not found on this server.")


def _json(fields: dict[str, object]) -> CredentialResponse:
    return answer_json(fields, content_type="application/json", headers=_HEADERS)


def _text(text: str) -> CredentialResponse:
    return CredentialResponse(plain_timeline(200, _TEXT, text.encode(), _HEADERS), {})


def _page(status: int, title: str, words: str) -> CredentialResponse:
    page = f"<!DOCTYPE html>\n<html lang=en>\n  <title>Error {status} ({title})!!1</title>\n  <p>{words}\n"
    refusal = Refusal(status, None, page, None, "html", None, "metadata", "", words)
    return CredentialResponse(plain_timeline(status, HTML_TYPE, page.encode(), _HEADERS), {}, refusal)
