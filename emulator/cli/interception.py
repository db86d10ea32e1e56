"""Starts what directs unchanged programs to the emulator, for `exec`, `sweep`, `serve --tls` and `serve --proxy`."""

import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emulator.cli.options import TOKEN_LIFETIME, ClientOptions
from emulator.cli.output import print_line
from emulator.errors import StartError
from emulator.redaction import clean_host
from emulator.server.tokens import LIFETIME

if TYPE_CHECKING:
    from emulator.api.background import Interception
    from emulator.intercept.certificate_authority import TrustFiles
    from emulator.intercept.child_process import ChildProcess
    from emulator.intercept.environment import ClientConfig
    from emulator.server.service import Service
    from emulator.store.exchange import UnroutedRequest


@dataclass(frozen=True, slots=True)
class ListeningSockets:
    """The sockets of the plain server, the TLS server and the proxy."""

    plain: socket.socket
    tls: socket.socket
    proxy: socket.socket


class LeakCounter:
    """Counts the requests to each host that is not emulated; prints a line on the first one to a host."""

    def __init__(self) -> None:
        self.hosts: Counter[str] = Counter()

    def add(self, host: str) -> None:
        """Count a request that the proxy has refused."""
        host = clean_host(host)
        hint = "" if "://" in host else f" (--pass {host} lets it through)"
        self._count(host, f"a program wanted to reach {host}, which is not emulated; refused{hint}")

    def add_unrouted(self, request: "UnroutedRequest") -> None:
        """Count a request to a service of Google's that is not emulated, which got its 404; others are not counted."""
        if request.is_leak:
            host = request.host.partition(":")[0].rstrip(".").lower()
            what = f"{request.verb} {request.path} of {host}"
            self._count(
                host, f"a program wanted {what}, which is not emulated; it got a 404 (--pass {host} lets it through)"
            )

    def _count(self, host: str, text: str) -> None:
        self.hosts[host] += 1
        if self.hosts[host] == 1:
            click.echo(f"vertex-emulator: leak: {text}", err=True)


def write_client_files(
    folder: Path, trust: "TrustFiles", service: "Service", sockets: ListeningSockets, options: ClientOptions
) -> "ClientConfig":
    """Write key files and a `gcloud` shim into a folder, and return everything that a client's variables name.

    Raises StartError.
    """
    from emulator.credentials.gcloud_shim import write_gcloud_shim
    from emulator.credentials.key_files import write_key_files
    from emulator.intercept.environment import ClientConfig
    from emulator.server.listening import address_of, base_url, url_of

    url = url_of(sockets.plain)
    token = service.mint.issue(service.clock.now(), TOKEN_LIFETIME)
    keys = write_key_files(folder, url=url, project=options.project)
    service.public_keys[keys.key_id] = keys.public_key
    # With --token-lifetime, the shim has to ask the server for each token; that needs curl and takes longer.
    shim_token = token if service.settings.token_lifetime == LIFETIME else None
    shim = write_gcloud_shim(folder, url=url, project=options.project, token=shim_token)
    key_files = {
        "user": keys.authorized_user,
        "service-account": keys.service_account,
        "external": keys.external_account,
    }
    return ClientConfig(
        url=url,
        base_url=base_url(url, options.project, options.location),
        api_key=token,
        project=options.project,
        proxy=address_of(sockets.proxy),
        tls=address_of(sockets.tls),
        certificate=trust.certificate,
        key_file=key_files.get(options.credentials),
        passed_hosts=options.passed_hosts,
        preload=trust.preload,
        commands=shim.parent,
        trust_store=trust.trust_store if options.java else None,
        metadata=options.metadata,
    )


def _intercept(
    folder: Path,
    service: "Service",
    bound: tuple[socket.socket, socket.socket | None],
    leaks: LeakCounter,
    options: ClientOptions,
) -> "tuple[Interception, TrustFiles]":
    """Create the certificate authority of TLS server and proxy (`bound`) and write its files; leaks are counted. Raises StartError."""
    from emulator.api.background import Interception
    from emulator.intercept.certificate_authority import CertificateAuthority, usual_authorities, write_trust_files
    from emulator.intercept.proxy import pass_hosts

    authority, passed = CertificateAuthority(), pass_hosts(options.passed_hosts)
    # Clients trust the certificates of these files only, so those of passed hosts must be among them.
    others = usual_authorities(os.environ) if options.passed_hosts else ()
    service.on_unrouted.append(leaks.add_unrouted)
    interception = Interception(authority.server_context(folder), *bound, leaks.add, passed)
    return interception, write_trust_files(folder, authority, others)


def start_interception(
    stack: ExitStack, folder: Path, service: "Service", leaks: LeakCounter, options: ClientOptions
) -> dict[str, str]:
    """Start plain server, TLS server and proxy in the background until the stack is closed; return a program's environment."""
    from emulator.api.background import BackgroundServer, Listeners
    from emulator.intercept.environment import child_environment
    from emulator.server.listening import bind

    bound = [stack.enter_context(bind("127.0.0.1", 0)) for _ in range(3)]
    for each in bound:
        # `exec` lets the program inherit open files; these must not be among them.
        each.set_inheritable(False)
    sockets = ListeningSockets(*bound)
    interception, trust = _intercept(folder, service, (sockets.tls, sockets.proxy), leaks, options)
    with ThreadPoolExecutor(1) as pool:
        # Generating a key is slow, so the server starts meanwhile.
        client = pool.submit(write_client_files, folder, trust, service, sockets, options)
        server = BackgroundServer(lambda on_answering: Listeners(service, sockets.plain, on_answering, interception))
        server.start()
        stack.callback(server.stop)
        return child_environment(os.environ, client.result())


def run_program(child: "ChildProcess", command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program and return its exit status; exit with 126 or 127 if it cannot be started. Raises StartError for a NUL in an argument."""
    from emulator.intercept.child_process import launch_failure_status

    try:
        return child.run(command, environment)
    except OSError as error:
        hint = "; scenarios stand before the --" if command[0].endswith((".yaml", ".yml")) else ""
        print_line(f"cannot run {command[0]}: {(error.strerror or str(error)).lower()}{hint}")
        raise SystemExit(launch_failure_status(error)) from None
    except ValueError as error:
        raise StartError(f"cannot run {command[0]!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class InterceptionSetup:
    """The TLS server and the proxy of `serve`, and what is printed about them."""

    listeners: "Interception"
    tls_url: str
    certificate: Path
    """The certificate of the authority, PEM."""
    client: "ClientConfig | None"
    """What directs unchanged programs to the proxy; None without a proxy."""


def open_interception(
    stack: ExitStack, service: "Service", plain: socket.socket, ports: tuple[int, int | None], options: ClientOptions
) -> InterceptionSetup:
    """Bind the TLS server and, if the second port is given, the proxy, on the host of the plain server.

    Sockets and files exist until the stack is closed. Raises StartError.
    """
    from emulator.intercept.environment import client_folder
    from emulator.server.listening import bind, url_of

    host, tls_port, proxy_port = plain.getsockname()[0], *ports
    tls = stack.enter_context(bind(host, tls_port))
    proxy = stack.enter_context(bind(host, proxy_port)) if proxy_port is not None else None
    folder = Path(stack.enter_context(client_folder()))
    listeners, trust = _intercept(folder, service, (tls, proxy), LeakCounter(), options)
    sockets = ListeningSockets(plain, tls, proxy) if proxy is not None else None
    client = write_client_files(folder, trust, service, sockets, options) if sockets else None
    return InterceptionSetup(listeners, url_of(tls, "https"), trust.certificate, client)
