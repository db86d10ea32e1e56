"""The user's own access token for the real service: from the command line, google-auth or gcloud."""

import shutil
import subprocess

from emulator.errors import StartError

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GCLOUD_TIMEOUT = 60.0
LOCAL_TOKEN = "ya29.attest"  # noqa: S105  # no secret: an emulator takes any
"""The token for an upstream on this machine, where nobody has given one."""


def find_token() -> str:
    """Return an access token of the application default credentials, else that of gcloud. Raises StartError."""
    reasons = []
    for name, find in (("google-auth", _ask_google_auth), ("gcloud", _ask_gcloud)):
        token, reason = find()
        if token:
            return token
        reasons.append(f"{name}: {reason}")
    raise StartError(
        f"no credentials for the real service ({'; '.join(reasons)}); run `gcloud auth application-default login`, or give --token"
    )


def _ask_google_auth() -> tuple[str, str]:
    """A token, or why there is none."""
    try:
        import google.auth  # noqa: PLC0415  # not a dependency: used where it is installed
        from google.auth.transport.requests import Request  # noqa: PLC0415  # as above
    except ImportError:
        return "", "it is not installed"
    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE])
        credentials.refresh(Request())  # type: ignore[no-untyped-call]  # it has no types
    except Exception as error:  # noqa: BLE001  # whatever a foreign library raises is a reason to show
        return "", " ".join(str(error).split())[:200]
    return str(credentials.token or ""), "it gave no token"


def _ask_gcloud() -> tuple[str, str]:
    """A token, or why there is none."""
    program = shutil.which("gcloud")
    if program is None:
        return "", "it is not installed"
    try:
        done = subprocess.run(  # noqa: S603  # the user's own gcloud
            [program, "auth", "print-access-token"],
            capture_output=True,
            text=True,
            timeout=_GCLOUD_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)[:200]
    if done.returncode != 0:
        return "", " ".join(done.stderr.split())[:200]
    return done.stdout.strip(), "it printed no token"
