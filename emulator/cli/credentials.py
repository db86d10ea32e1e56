"""`vertex-emulator credentials`."""

import os
import shlex
from http.client import HTTPException
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import click

from emulator.cli.control_client import connect, reason_of
from emulator.cli.options import option
from emulator.cli.output import exit_with_error
from emulator.errors import EmulatorError, StartError

_TIMEOUT = 10
"""Seconds to wait for the server's response."""


@click.command()
@click.argument("folder", default="vertex-credentials", type=click.Path(path_type=Path))
@option("--url", default="http://127.0.0.1:8080", help="Where the emulator runs.")
@option("--project", help="The project of the credentials; without it that of the server.")
@option("--location", default="global", help="The location in the URL that is printed.")
@option("--metadata", is_flag=True, help="Print the variables that lead to the metadata server too.")
@option("--force", is_flag=True, help="Overwrite the files of an earlier run.")
def credentials(folder: Path, *, url: str, project: str | None, location: str, metadata: bool, force: bool) -> None:
    """Write credentials for a running emulator.

    Key files of a service account, a user and a federated identity, and a `gcloud` that prints tokens, go into FOLDER; only you may
    read them. Prints the environment that leads programs to them. Nothing is overwritten without --force.
    """
    from emulator.server.listening import base_url

    try:
        server = _parse_server_url(url)
        # Asked in any case, to know that it is an emulator.
        server_project = _fetch_project(server)
        project = project or server_project
        key_file, shim = _write_files(folder, server.geturl(), project, force=force)
    except EmulatorError as error:
        exit_with_error(error)
    variables = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(key_file.absolute()),
        "GOOGLE_CLOUD_PROJECT": project,
        "OPENAI_BASE_URL": base_url(server.geturl(), project, location),
    }
    if metadata:
        variables |= {"GCE_METADATA_HOST": server.netloc, "GCE_METADATA_IP": server.netloc}
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f'export PATH={shlex.quote(str(shim.parent.absolute()))}:"$PATH"')
    click.echo('export OPENAI_API_KEY="$(gcloud auth print-access-token)"')


def _parse_server_url(url: str) -> SplitResult:
    """Return scheme, host and port of a URL. Raises StartError if it has anything else."""
    try:
        split = urlsplit(url.strip())
        is_valid = split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
    except ValueError:
        is_valid = False
        split = SplitResult("", "", "", "", "")
    if not is_valid or split.path not in {"", "/"} or split.query or any(char.isspace() for char in split.netloc):
        raise StartError(f'"{url}" is not the address of a server; expected something like http://127.0.0.1:8080')
    return SplitResult(split.scheme, split.netloc, "", "", "")


def _fetch_project(server: SplitResult) -> str:
    """Ask the emulator's metadata server for its project. Raises StartError if no emulator answers."""
    connection = connect(server.scheme, server.hostname or "", server.port, _TIMEOUT)
    try:
        connection.request("GET", "/computeMetadata/v1/project/project-id", headers={"Metadata-Flavor": "Google"})
        response = connection.getresponse()
        if response.headers["Metadata-Flavor"] == "Google":
            return response.read(1000).decode("utf-8", "replace")
        reason = "what answers there is no emulator"
    except (OSError, HTTPException) as error:
        reason = reason_of(error)
    finally:
        connection.close()
    raise StartError(
        f"no emulator at {server.geturl()}: {reason}; start one with `vertex-emulator serve`, or name its address with --url"
    )


def _write_files(folder: Path, url: str, project: str, *, force: bool) -> tuple[Path, Path]:
    """Write all files; return those of the service account and of the `gcloud` shim. Raises StartError."""
    from emulator.credentials.gcloud_shim import write_gcloud_shim
    from emulator.credentials.key_files import write_key_files

    shim = folder / "bin" / "gcloud"
    if os.pathsep in str(shim.absolute()):
        raise StartError(
            f'the path of "{folder}" has a colon, so gcloud could not be found there through PATH; choose another folder'
        )
    if shim.exists() and not force:
        raise StartError(f"{shim} exists already; nothing was written; --force overwrites it")
    try:
        files = write_key_files(folder, url=url, project=project, overwrite=force)
    except StartError as error:
        if "exists already" in str(error):
            raise StartError(f"{error}; --force overwrites it") from None
        raise
    return files.service_account, write_gcloud_shim(folder, url=url, project=project, overwrite=force)
