"""`vertex-emulator record`, and what `serve --record` shares with it."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emulator.cli.interception import run_program
from emulator.cli.options import ProgramCommand, option, recording_options
from emulator.cli.output import print_line
from emulator.errors import StartError

if TYPE_CHECKING:
    from emulator.recording.recorder import Recorder, RecordingApp
    from emulator.server.app import ASGIApp
    from emulator.server.clock import Clock

_SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes lets another one go on."""
_MAX_KEY_FILE = 64 * 1024
"""Bytes of a file of credentials in which secrets are looked for."""


@click.command("record", cls=ProgramCommand)
@option(
    "--to",
    "folder",
    default="recording",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The recording: a new folder, or one that is continued.",
)
@recording_options
@option(
    "--import",
    "import_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Run no program; take the exchanges with Vertex AI from a cassette of VCR.py (YAML) or a HAR file.",
)
@option("--java", is_flag=True, help="Lead Java programs too; the JVM then says so on stderr.")
@option("--verbose", "-v", is_flag=True, help="Print a line on stderr for each exchange that is recorded.")
@click.pass_obj
def record(command: list[str], /, **options: Any) -> int:
    """Record what a program and the real service say to each other.

    COMMAND runs unchanged, with its own credentials; its requests to Vertex AI go through here on to Google, or to --upstream. Each
    exchange is written into a file of DIR, without tokens, keys, mail addresses and projects. Input, output and exit status are the
    program's; a line on stderr sums up. 126 and 127 mean that it could not be run.
    """
    if options["import_file"] is not None:
        if command:
            raise click.UsageError("--import takes the exchanges from a file, so that no program is run")
        return _import(options["import_file"], options["folder"], options["patterns"])
    del options["import_file"]
    return _record(command, **options)


def open_recording(
    folder: Path,
    upstream: str | None,
    patterns: Sequence[re.Pattern[str]],
    clock: "Clock",
    *,
    verbose: bool,
    control: "ASGIApp | None" = None,
) -> "tuple[Recorder, RecordingApp]":
    """Open a recording and make what forwards requests and records them. Raises StartError."""
    from emulator.recording.recorder import Recorder, RecordingApp
    from emulator.recording.upstream import Upstream

    link = Upstream(upstream or "", clock.elapsed)
    # What comes from the upstream must not wait for the thread that writes: by default that may go on for 5 ms.
    sys.setswitchinterval(_SWITCH_INTERVAL)
    recorder = Recorder(
        folder,
        upstream or "",
        patterns=patterns,
        environment=os.environ,
        key_file=_read_key_file(os.environ),
        report=print_line if verbose else None,
    )
    return recorder, RecordingApp(link, recorder, clock, control=control)


def refuse_loop(upstream: str | None, address: tuple[Any, ...]) -> None:
    """Raise StartError if an upstream is the server itself, listening at an address."""
    from emulator.recording.upstream import is_loopback, parse_upstream

    if not upstream:
        return
    url = parse_upstream(upstream)
    port = url.port or (443 if url.scheme == "https" else 80)
    host = url.hostname or ""
    if port == address[1] and (host == address[0] or is_loopback(host)):
        raise StartError(f"the upstream {upstream} is this server itself; name another one, or another --port")


def _record(
    command: list[str],
    *,
    folder: Path,
    upstream: str | None,
    patterns: Sequence[re.Pattern[str]],
    java: bool,
    verbose: bool,
) -> int:
    """Run the program and return the exit status."""
    from emulator.intercept.child_process import ChildProcess
    from emulator.intercept.environment import client_folder
    from emulator.server.clock import SystemClock

    child = ChildProcess()
    with child.handling_signals(), client_folder() as files, ExitStack() as stack:
        recorder, app = open_recording(folder, upstream, patterns, SystemClock(), verbose=verbose)
        stack.callback(recorder.close)
        environment = _intercept(stack, Path(files), recorder, app, has_upstream=upstream is not None, java=java)
        status = run_program(child, command, environment)
    print_line(recorder.summary())
    if not recorder.ends.total():
        print_line(
            "nothing that can be recorded came by; a program whose base URL is not Google's (OPENAI_BASE_URL) is recorded by "
            "`vertex-emulator serve --record DIR --upstream URL`, whose address is its base URL then"
        )
    return status


def _intercept(
    stack: ExitStack, files: Path, recorder: "Recorder", app: "RecordingApp", *, has_upstream: bool, java: bool
) -> dict[str, str]:
    """Start what the program's requests are led to, until the stack is closed; return the program's environment. Raises StartError."""
    from emulator.api.background import BackgroundServer, Interception, Listeners
    from emulator.engine.ruleset import compile_rules
    from emulator.intercept.certificate_authority import CertificateAuthority, usual_authorities, write_trust_files
    from emulator.intercept.environment import recorded_environment
    from emulator.intercept.proxy import GOOGLE_HOSTS, is_emulated, pass_all_but
    from emulator.server.clock import SystemClock
    from emulator.server.listening import address_of, bind
    from emulator.server.service import Service
    from emulator.server.settings import Settings
    from emulator.wire.urls import VERTEX_HOSTS, is_vertex_host

    plain, tls, proxy = (stack.enter_context(bind("127.0.0.1", 0)) for _ in range(3))
    for bound in (plain, tls, proxy):
        # The program inherits open files; these must not be among them.
        bound.set_inheritable(False)
    authority = CertificateAuthority()
    interception = Interception(
        authority.server_context(files),
        tls,
        proxy,
        on_leak=lambda host: recorder.leave_out(f"to {host}"),
        passed=pass_all_but(is_emulated if has_upstream else is_vertex_host),
        on_pass=lambda host: recorder.leave_out(f"to {host}"),
    )
    trust = write_trust_files(files, authority, usual_authorities(os.environ, "record"))
    service = Service(compile_rules([]), Settings(), clock=SystemClock())
    server = BackgroundServer(lambda on_answering: Listeners(service, plain, on_answering, interception, app=app))
    server.start()
    stack.callback(server.stop)
    return recorded_environment(
        os.environ,
        trust,
        proxy=address_of(proxy),
        tls=address_of(tls),
        hosts=GOOGLE_HOSTS if has_upstream else f"^(?:{VERTEX_HOSTS})\\.?$",
        java=java,
    )


def _import(file: Path, folder: Path, patterns: Sequence[re.Pattern[str]]) -> int:
    """Write the exchanges of a file into a recording. Raises StartError."""
    from emulator.recording.imports import read_exchanges
    from emulator.recording.recorder import Recorder

    exchanges, skipped = read_exchanges(file)
    recorder = Recorder(folder, patterns=patterns)
    for exchange in exchanges:
        recorder.keep(replace(exchange, number=recorder.begin()))
    for what, number in skipped.items():
        recorder.left_out[what] += number
    recorder.close()
    print_line(recorder.summary())
    return 0


def _read_key_file(environment: Mapping[str, str]) -> str:
    """The credentials that a program finds, whose secrets are to be replaced; empty if there are none."""
    config = environment.get("CLOUDSDK_CONFIG") or "~/.config/gcloud"
    path = environment.get("GOOGLE_APPLICATION_CREDENTIALS") or f"{config}/application_default_credentials.json"
    with suppress(OSError, ValueError, RuntimeError):
        return Path(path).expanduser().read_bytes()[:_MAX_KEY_FILE].decode("utf-8", "replace")
    return ""
