"""What `exec` and `serve --proxy` have in common: the files that clients read, and the variables that name them."""

import socket
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emulator.cli.options import TOKEN_LIFETIME
from emulator.server.tokens import LIFETIME

if TYPE_CHECKING:
    from emulator.api.background import Interception
    from emulator.intercept.certificate_authority import TrustFiles
    from emulator.intercept.environment import ClientConfig
    from emulator.server.service import Service


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where the plain server, its TLS twin and the proxy listen."""

    plain: socket.socket
    tls: socket.socket
    proxy: socket.socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Aims:
    """What the variables are to lead to."""

    project: str
    location: str
    java: bool = False
    metadata: bool = False


def write_surroundings(
    folder: Path,
    trust: "TrustFiles",
    service: "Service",
    sockets: Sockets,
    aims: Aims,
) -> "ClientConfig":
    """Write everything that the variables name into a folder, and return what they are to say. Raises StartError."""
    from emulator.credentials.gcloud_shim import write_gcloud_shim  # noqa: PLC0415  # as above
    from emulator.credentials.key_files import write_key_files  # noqa: PLC0415  # as above
    from emulator.intercept.environment import ClientConfig  # noqa: PLC0415  # as above
    from emulator.server.listening import address_of, base_url, url_of  # noqa: PLC0415  # as above

    url = url_of(sockets.plain)
    token = service.mint.issue(service.clock.now(), TOKEN_LIFETIME)
    keys = write_key_files(folder, url=url, project=aims.project)
    service.public_keys[keys.key_id] = keys.public_key
    # Tokens that are meant to expire are asked for each time; that takes curl, and longer.
    lasting = service.settings.token_lifetime == LIFETIME
    shim = write_gcloud_shim(folder, url=url, project=aims.project, token=token if lasting else None)
    return ClientConfig(
        url=url,
        base_url=base_url(url, aims.project, aims.location),
        api_key=token,
        project=aims.project,
        proxy=address_of(sockets.proxy),
        tls=address_of(sockets.tls),
        certificate=trust.certificate,
        key_file=keys.service_account,
        preload=trust.preload,
        commands=shim.parent,
        trust_store=trust.trust_store if aims.java else None,
        metadata=aims.metadata,
    )


class Leaks:
    """The hosts that the proxy has refused, and how often."""

    def __init__(self) -> None:
        self.hosts: Counter[str] = Counter()

    def add(self, host: str) -> None:
        """Count a host; say so the first time."""
        self.hosts[host] += 1
        if self.hosts[host] == 1:
            click.echo(
                f"vertex-emulator: leak: a program wanted to reach {host}, which is not emulated; refused", err=True
            )


@dataclass(frozen=True, slots=True)
class Beside:
    """What listens beside the plain server, and what there is to say of it."""

    interception: "Interception"
    tls_url: str
    certificate: Path
    """Of the authority that the TLS side's certificates come from."""
    overrides: "ClientConfig | None"
    """What leads unchanged programs to the proxy, if there is one."""


def open_beside(
    stack: ExitStack, service: "Service", plain: socket.socket, ports: tuple[int, int | None], aims: Aims
) -> Beside:
    """The TLS side and, if it has a port, the proxy, on the plain server's host.

    The files that they need last as long as the stack. Raises StartError.
    """
    from tempfile import TemporaryDirectory  # noqa: PLC0415  # as above

    from emulator.api.background import Interception  # noqa: PLC0415  # as above
    from emulator.intercept.certificate_authority import CertificateAuthority, write_trust_files  # noqa: PLC0415  # as above
    from emulator.server.listening import bind, url_of  # noqa: PLC0415  # as above

    host, tls_port, proxy_port = plain.getsockname()[0], *ports
    tls = stack.enter_context(bind(host, tls_port))
    proxy = stack.enter_context(bind(host, proxy_port)) if proxy_port is not None else None
    authority = CertificateAuthority()
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="vertex-emulator-")))
    trust = write_trust_files(folder, authority)
    interception = Interception(authority.server_context(folder), tls, proxy, Leaks().add)
    sockets = Sockets(plain, tls, proxy) if proxy is not None else None
    overrides = write_surroundings(folder, trust, service, sockets, aims) if sockets else None
    return Beside(interception, url_of(tls, "https"), trust.certificate, overrides)
