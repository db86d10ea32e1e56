"""The user's own credentials for the real service: of google-auth, else of gcloud."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from emulator.errors import StartError

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GCLOUD_TIMEOUT = 60.0
LOCAL_TOKEN = "ya29.attest"  # noqa: S105  # no secret: an emulator takes any
"""The token for an upstream on this machine, where nobody has given one."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The user's own credentials for the real service."""

    get_token: Callable[[], str]
    """Returns an access token that can be used."""
    project: str = ""
    """The project that they name; empty for none."""


class GoogleCredentials(Protocol):
    """Credentials as google-auth has them."""

    token: str | None

    @property
    def valid(self) -> bool:
        """Whether the token can be used."""
        ...

    def refresh(self, request: Any) -> None:
        """Get a new token."""
        ...


def find_credentials() -> Credentials:
    """Return the application default credentials, else those of gcloud. Raises StartError."""
    reasons = []
    for name, find in (("google-auth", _ask_google_auth), ("gcloud", _ask_gcloud)):
        found = find()
        if isinstance(found, Credentials):
            return found
        reasons.append(f"{name}: {found}")
    raise StartError(
        f"there are no credentials for the real service ({'; '.join(reasons)}); run `gcloud auth application-default login`, "
        "or name an emulator or a gateway as the upstream"
    )


def _ask_google_auth() -> Credentials | str:
    """The credentials that google-auth finds, or why there are none."""
    try:
        import google.auth  # noqa: PLC0415  # not a dependency: used where it is installed
        from google.auth.exceptions import DefaultCredentialsError  # noqa: PLC0415  # as above
        from google.auth.transport.requests import Request  # noqa: PLC0415  # as above
    except ImportError:
        return "it is not installed"
    try:
        credentials, project = cast("tuple[GoogleCredentials, str | None]", google.auth.default(scopes=[_SCOPE]))
        credentials.refresh(Request())
    except DefaultCredentialsError:
        return "it finds none"
    except Exception as error:  # noqa: BLE001  # whatever a foreign library raises is a reason to show
        return " ".join(str(error).split())[:200]

    def get_token() -> str:
        if not credentials.valid:
            credentials.refresh(Request())
        return credentials.token or ""

    return Credentials(get_token, project or "") if credentials.token else "it gave no token"


def _ask_gcloud() -> Credentials | str:
    """The token that gcloud prints, or why there is none."""
    program = shutil.which("gcloud")
    if program is None:
        return "it is not installed"
    try:
        done = subprocess.run(  # noqa: S603  # the user's own gcloud
            [program, "auth", "print-access-token"],
            capture_output=True,
            text=True,
            timeout=_GCLOUD_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:200]
    if done.returncode != 0:
        return "it gives no token"
    token = done.stdout.strip()
    return Credentials(lambda: token) if token else "it printed no token"
