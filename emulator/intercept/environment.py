"""The variables that lead a program to the emulator: the union of what all known clients need."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from emulator.intercept.certificate_authority import TRUST_PASSWORD

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
UNSET = (
    # Other proxies: of plain HTTP, of everything; a socks5h one keeps httpx from starting at all.
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "SSL_CERT_DIR",
    "GOOGLE_CLOUD_QUOTA_PROJECT",
    "GCE_METADATA_HOST",
    "GCE_METADATA_IP",
    "GOOGLE_API_USE_CLIENT_CERTIFICATE",
)
"""What is taken away, because it would lead elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFiles:
    """What the variables name."""

    url: str
    """The plain HTTP server."""
    base_url: str
    api_key: str
    project: str
    proxy: str
    """`host:port`, as the next."""
    tls: str
    certificate: Path
    key_file: Path
    preload: Path
    """The module that Node loads first."""
    commands: Path
    """The folder of the `gcloud` that comes first in the path."""
    trust_store: Path | None = None
    """For Java; without it Java's variables are left alone, because it writes a line on stderr when they are set."""
    metadata: bool = False
    """Whether programs find a metadata server. They then believe that they run on Google's machines."""


def fixed_variables(given: ClientFiles) -> dict[str, str]:
    """The variables whose value does not depend on the one they have."""
    proxy, certificate = f"http://{given.proxy}", str(given.certificate)
    direct = ",".join(dict.fromkeys((*_LOOPBACK, urlsplit(given.url).hostname or "")))
    variables = {
        # Clients differ in which case they read, and a lower-case one that is already there would win.
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
        "NO_PROXY": direct,
        "no_proxy": direct,
        "SSL_CERT_FILE": certificate,
        "REQUESTS_CA_BUNDLE": certificate,
        "CURL_CA_BUNDLE": certificate,
        "NODE_EXTRA_CA_CERTS": certificate,
        "GOOGLE_APPLICATION_CREDENTIALS": str(given.key_file),
        "GOOGLE_CLOUD_PROJECT": given.project,
        "OPENAI_BASE_URL": given.base_url,
        "OPENAI_API_KEY": given.api_key,
        "VERTEX_EMULATOR_TLS_ADDR": given.tls,
    }
    if given.metadata:
        address = given.url.removeprefix("http://")
        variables |= {"GCE_METADATA_HOST": address, "GCE_METADATA_IP": address}
    return variables


def appended_variables(given: ClientFiles) -> dict[str, str]:
    """The variables that keep the value they have, with this behind it and a space between."""
    variables = {"NODE_OPTIONS": f'--require="{given.preload}"'}
    if given.trust_store is not None:
        host, _, port = given.proxy.rpartition(":")
        variables["JAVA_TOOL_OPTIONS"] = (
            f"-Dhttps.proxyHost={host.strip('[]')} -Dhttps.proxyPort={port} "
            f'-Djavax.net.ssl.trustStore="{given.trust_store}" -Djavax.net.ssl.trustStorePassword={TRUST_PASSWORD}'
        )
    return variables


def child_environment(inherited: Mapping[str, str], given: ClientFiles) -> dict[str, str]:
    """The environment of a program that is to be led to the emulator, whatever it would have inherited."""
    kept = {name: value for name, value in inherited.items() if name not in UNSET}
    appended = {
        name: f"{kept[name]} {value}" if kept.get(name) else value for name, value in appended_variables(given).items()
    }
    path = {"PATH": f"{given.commands}:{kept.get('PATH') or os.defpath}"}
    return kept | fixed_variables(given) | appended | path


def shell_lines(given: ClientFiles) -> list[str]:
    """The same as lines for a POSIX shell."""
    fixed = fixed_variables(given)
    lines = [f"unset {' '.join(name for name in UNSET if name not in fixed)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in fixed.items()]
    lines += [
        f'export {name}="${{{name}:+${name} }}"{shlex.quote(value)}'
        for name, value in appended_variables(given).items()
    ]
    return [*lines, f'export PATH={shlex.quote(str(given.commands))}:"$PATH"']
