"""Starts what directs unchanged programs to the emulator, for `exec`, `sweep`, `serve --tls` and `serve --proxy`."""

import os
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emulator.cli.options import TOKEN_LIFETIME
from emulator.redaction import clean_host
from emulator.server.tokens import LIFETIME

if TYPE_CHECKING:
    from emulator.api.background import Interception
    from emulator.intercept.certificate_authority import TrustFiles
    from emulator.intercept.environment import ClientConfig
    from emulator.server.service import Service


@dataclass(frozen=True, slots=True)
class ListeningSockets:
    """The sockets of the plain server, the TLS server and the proxy."""

    plain: socket.socket
    tls: socket.socket
    proxy: socket.socket


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """The options that decide what clients are told: project, location, and whether Java and a metadata server are covered."""

    project: str
    location: str
    java: bool = False
    metadata: bool = False


class LeakCounter:
    """Counts the requests to each host that the proxy has refused."""

    def __init__(self) -> None:
        self.hosts: Counter[str] = Counter()

    def add(self, host: str) -> None:
        """Count a request; print a line on the first one to a host."""
        host = clean_host(host)
        self.hosts[host] += 1
        if self.hosts[host] == 1:
            click.echo(
                f"vertex-emulator: leak: a program wanted to reach {host}, which is not emulated; refused", err=True
            )


def write_client_files(
    folder: Path, trust: "TrustFiles", service: "Service", sockets: ListeningSockets, options: ClientOptions
) -> "ClientConfig":
    """Write a key file and a `gcloud` shim into a folder, and return everything that a client's variables name.

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
    return ClientConfig(
        url=url,
        base_url=base_url(url, options.project, options.location),
        api_key=token,
        project=options.project,
        proxy=address_of(sockets.proxy),
        tls=address_of(sockets.tls),
        certificate=trust.certificate,
        key_file=keys.service_account,
        preload=trust.preload,
        commands=shim.parent,
        trust_store=trust.trust_store if options.java else None,
        metadata=options.metadata,
    )


def start_interception(
    stack: ExitStack, folder: Path, service: "Service", on_leak: Callable[[str], object], options: ClientOptions
) -> dict[str, str]:
    """Start plain server, TLS server and proxy in the background until the stack is closed; return a program's environment."""
    from emulator.api.background import BackgroundServer, Interception, Listeners
    from emulator.intercept.certificate_authority import CertificateAuthority, write_trust_files
    from emulator.intercept.environment import child_environment
    from emulator.server.listening import bind

    authority = CertificateAuthority()
    bound = [stack.enter_context(bind("127.0.0.1", 0)) for _ in range(3)]
    for each in bound:
        # `exec` lets the program inherit open files; these must not be among them.
        each.set_inheritable(False)
    sockets = ListeningSockets(*bound)
    interception = Interception(authority.server_context(folder), sockets.tls, sockets.proxy, on_leak)
    trust = write_trust_files(folder, authority)
    with ThreadPoolExecutor(1) as pool:
        # Generating a key is slow, so the server starts meanwhile.
        client = pool.submit(write_client_files, folder, trust, service, sockets, options)
        server = BackgroundServer(lambda on_answering: Listeners(service, sockets.plain, on_answering, interception))
        server.start()
        stack.callback(server.stop)
        return child_environment(os.environ, client.result())


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
    from emulator.api.background import Interception
    from emulator.intercept.certificate_authority import CertificateAuthority, write_trust_files
    from emulator.intercept.environment import client_folder
    from emulator.server.listening import bind, url_of

    host, tls_port, proxy_port = plain.getsockname()[0], *ports
    tls = stack.enter_context(bind(host, tls_port))
    proxy = stack.enter_context(bind(host, proxy_port)) if proxy_port is not None else None
    authority = CertificateAuthority()
    folder = Path(stack.enter_context(client_folder()))
    trust = write_trust_files(folder, authority)
    listeners = Interception(authority.server_context(folder), tls, proxy, LeakCounter().add)
    sockets = ListeningSockets(plain, tls, proxy) if proxy is not None else None
    client = write_client_files(folder, trust, service, sockets, options) if sockets else None
    return InterceptionSetup(listeners, url_of(tls, "https"), trust.certificate, client)
