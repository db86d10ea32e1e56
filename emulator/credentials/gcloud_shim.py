"""A shell script in place of `gcloud`, with the commands by which programs get an access token and the project."""

import shlex
from pathlib import Path

from emulator.credentials.key_files import write_private
from emulator.credentials.metadata_server import METADATA_PATH

_TOKEN_FILE = "access-token"  # noqa: S105  # the name of a file

# The value of a flag such as `--project demo` cannot be told from a command word, so commands are searched for anywhere.
_SCRIPT = """\
#!/bin/sh
# Stands in for gcloud: prints access tokens of the emulator at {url}, and its project.
words=
for word in "$@"; do
  case $word in -*) ;; *) words="$words $word" ;; esac
done
case "$words " in
  *' auth print-access-token '* | *' auth application-default print-access-token '*)
    if [ -r {token_file} ]; then
      IFS= read -r token < {token_file}
    else
      token=$(curl -fsS --max-time 10 --noproxy '*' -H 'Metadata-Flavor: Google' {address} |
        sed -n 's/.*"access_token":"\\([^"]*\\)".*/\\1/p')
    fi
    if [ -z "$token" ]; then
      echo 'gcloud (vertex-emulator): there is no token to be had from '{url}'; is the emulator running?' >&2
      exit 1
    fi
    printf '%s\\n' "$token"
    ;;
  *' config get project '* | *' config get-value project '* | *' config get-value core/project '*)
    printf '%s\\n' {project}
    ;;
  *)
    echo "gcloud (vertex-emulator): only auth print-access-token, auth application-default print-access-token and" \\
      "config get project are there; this was: gcloud $*" >&2
    echo "gcloud (vertex-emulator): nothing was done; for anything else call the real gcloud by its path, outside of the emulator" >&2
    exit 2
    ;;
esac
"""


def write_gcloud_shim(
    folder: Path, *, url: str, project: str, token: str | None = None, overwrite: bool = False
) -> Path:
    """Write `bin/gcloud` into a folder and return its path.

    It prints `token`, or the one that `renew_token` has written since; without one it asks the server each time, which needs curl.
    Raises StartError if a file exists and must not be overwritten.
    """
    token_file = (folder / _TOKEN_FILE).absolute()
    script = _SCRIPT.format(
        url=shlex.quote(url),
        project=shlex.quote(project),
        token_file=shlex.quote(str(token_file)),
        address=shlex.quote(f"{url}{METADATA_PATH}v1/instance/service-accounts/default/token"),
    )
    shim = folder / "bin" / "gcloud"
    write_private(folder, {}, overwrite=overwrite)
    write_private(folder / "bin", {shim: script}, overwrite=overwrite, mode=0o700)
    if token is not None:
        renew_token(folder, token)
    return shim


def renew_token(folder: Path, token: str) -> None:
    """Replace the token that the shim in a folder prints, atomically."""
    write_private(folder, {folder / _TOKEN_FILE: f"{token}\n"}, overwrite=True)
