"""`vertex-emulator credentials`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

import click

from emulator.cli.options import option, stop
from emulator.errors import EmulatorError, StartError

if TYPE_CHECKING:
    from emulator.credentials.key_files import KeyFiles

_PATIENCE = 10
"""Seconds that the server has to answer."""


@click.command()
@click.argument("folder", default="vertex-credentials", type=click.Path(path_type=Path))
@option("--url", default="http://127.0.0.1:8080", help="Where the emulator runs.")
@option("--project", help="The project of the credentials; without it that of the server.")
@option("--location", default="us-central1", help="The location in the URL that is printed.")
@option("--metadata", is_flag=True, help="Print the variables that lead to the metadata server too.")
@option("--force", is_flag=True, help="Overwrite the files of an earlier run.")
def credentials(folder: Path, *, url: str, project: str | None, location: str, metadata: bool, force: bool) -> None:
    """Write credentials for a running emulator.

    Key files of a service account, a user and a federated identity, and a `gcloud` that prints tokens, go into FOLDER; only you may
    read them. Prints the environment that leads programs to them. Nothing is overwritten without --force.
    """
    try:
        server = _read_url(url)
        found = _ask_project(server)
        files, shim = _write(folder, server.geturl(), project or found, force=force)
    except EmulatorError as error:
        stop(error)
    click.echo("\n".join(_environment(server, project or found, location, files, shim, metadata=metadata)))


def _read_url(url: str) -> SplitResult:
    """Scheme, host and port of a URL, nothing else."""
    try:
        split = urlsplit(url.strip())
        good = split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
    except ValueError:
        good = False
        split = SplitResult("", "", "", "", "")
    if not good or split.path not in {"", "/"} or split.query or any(char.isspace() for char in split.netloc):
        raise StartError(f'"{url}" is not the address of a server; expected something like http://127.0.0.1:8080')
    return SplitResult(split.scheme, split.netloc, "", "", "")


def _ask_project(server: SplitResult) -> str:
    """The project of the emulator that runs there; its metadata server tells it."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection  # noqa: PLC0415  # other commands start quicker

    kind = HTTPSConnection if server.scheme == "https" else HTTPConnection
    connection = kind(server.hostname or "", server.port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/computeMetadata/v1/project/project-id", headers={"Metadata-Flavor": "Google"})
        answer = connection.getresponse()
        if answer.headers["Metadata-Flavor"] == "Google":
            return answer.read(1000).decode("utf-8", "replace")
        reason = "what answers there is no emulator"
    except (OSError, HTTPException) as error:
        reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
    finally:
        connection.close()
    raise StartError(
        f"no emulator at {server.geturl()}: {reason}; start one with `vertex-emulator serve`, or name its address with --url"
    )


def _write(folder: Path, url: str, project: str, *, force: bool) -> "tuple[KeyFiles, Path]":
    from emulator.credentials.gcloud_shim import write_gcloud_shim  # noqa: PLC0415  # as above
    from emulator.credentials.key_files import write_key_files  # noqa: PLC0415  # --help is quicker without

    shim = folder / "bin" / "gcloud"
    if shim.exists() and not force:
        raise StartError(f"{shim} exists already; nothing was written; --force overwrites it")
    try:
        files = write_key_files(folder, url=url, project=project, overwrite=force)
    except StartError as error:
        if "exists already" in str(error):
            raise StartError(f"{error}; --force overwrites it") from None
        raise
    return files, write_gcloud_shim(folder, url=url, project=project, overwrite=force)


def _environment(
    server: SplitResult, project: str, location: str, files: "KeyFiles", shim: Path, *, metadata: bool
) -> list[str]:
    """The lines to paste into a shell."""
    from emulator.server.listening import base_url  # noqa: PLC0415  # --help is quicker without

    variables = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(files.service_account.absolute()),
        "GOOGLE_CLOUD_PROJECT": project,
        "OPENAI_BASE_URL": base_url(server.geturl(), project, location),
    }
    if metadata:
        variables |= {"GCE_METADATA_HOST": server.netloc, "GCE_METADATA_IP": server.netloc}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines.append(f'export PATH={shlex.quote(str(shim.parent.absolute()))}:"$PATH"')
    lines.append('export OPENAI_API_KEY="$(gcloud auth print-access-token)"')
    return lines
