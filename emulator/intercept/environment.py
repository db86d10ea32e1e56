"""The environment variables that direct a program to the emulator: the union of what all known clients need."""

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from urllib.parse import urlsplit

from emulator.errors import StartError
from emulator.intercept.certificate_authority import CERTIFICATE_VARIABLES, TRUST_PASSWORD, TrustFiles
from emulator.intercept.proxy import DOMAINS, is_below

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
UNSET = (
    # Other proxies: of plain HTTP, of everything; a socks5h one keeps httpx from starting at all.
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "SSL_CERT_DIR",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_QUOTA_PROJECT",
    "GCE_METADATA_HOST",
    "GCE_METADATA_IP",
    "VERTEX_EMULATOR_PASSED_HOSTS",
    "GOOGLE_API_USE_CLIENT_CERTIFICATE",
)
"""Variables that are removed, because they would direct a client elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """The addresses, credentials and files that the variables name."""

    url: str
    """The plain HTTP server."""
    base_url: str
    api_key: str
    project: str
    proxy: str
    """`host:port`, and so is `tls`."""
    tls: str
    certificate: Path
    key_file: Path | None
    """The file of Application Default Credentials; None where they are those of the machine."""
    preload: Path
    """The module that Node loads first."""
    commands: Path
    """The folder of the `gcloud` shim, which is put first in PATH."""
    trust_store: Path | None = None
    """For Java; without it Java's variables are not set, because with them Java writes a line on stderr."""
    passed_hosts: tuple[str, ...] = ()
    """Hosts that programs reach over the network, of which Node's module has to know."""
    metadata: bool = False
    """Whether programs find a metadata server, so that they behave as on Google's machines."""


def fixed_variables(config: ClientConfig) -> dict[str, str]:
    """The variables that replace an inherited value."""
    proxy, certificate = f"http://{config.proxy}", str(config.certificate)
    direct = ",".join(dict.fromkeys((*_LOOPBACK, urlsplit(config.url).hostname or "")))
    variables = {
        # Some clients read upper case, some lower case, and an inherited one in lower case would take precedence.
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
        "NO_PROXY": direct,
        "no_proxy": direct,
        **dict.fromkeys(CERTIFICATE_VARIABLES, certificate),
        "GOOGLE_CLOUD_PROJECT": config.project,
        "OPENAI_BASE_URL": config.base_url,
        "OPENAI_API_KEY": config.api_key,
        "VERTEX_EMULATOR_TLS_ADDR": config.tls,
    }
    if config.passed_hosts:
        variables["VERTEX_EMULATOR_PASSED_HOSTS"] = ",".join(config.passed_hosts)
    if config.key_file is not None:
        variables["GOOGLE_APPLICATION_CREDENTIALS"] = str(config.key_file)
    else:
        # No folder of this name is there, so that no login of the user's own is found.
        variables["CLOUDSDK_CONFIG"] = str(config.commands / "no-gcloud-login")
    if config.metadata or config.key_file is None:
        address = config.url.removeprefix("http://")
        variables |= {"GCE_METADATA_HOST": address, "GCE_METADATA_IP": address}
    return variables


def appended_variables(config: ClientConfig) -> dict[str, str]:
    """The variables whose value is appended to an inherited one, after a space."""
    variables = {"NODE_OPTIONS": f"--require={_quote_for_node(str(config.preload))}"}
    if config.trust_store is not None:
        variables["JAVA_TOOL_OPTIONS"] = _java_options(config.proxy, config.trust_store)
    return variables


def _java_options(proxy: str, trust_store: Path) -> str:
    host, _, port = proxy.rpartition(":")
    return (
        f"-Dhttps.proxyHost={host.strip('[]')} -Dhttps.proxyPort={port} "
        f"-Djavax.net.ssl.trustStore={_quote_for_java(str(trust_store))} "
        f"-Djavax.net.ssl.trustStorePassword={TRUST_PASSWORD}"
    )


def _append(inherited: Mapping[str, str], name: str, value: str) -> str:
    """A variable's inherited value with another behind it."""
    return f"{inherited[name]} {value}" if inherited.get(name) else value


def _quote_for_node(text: str) -> str:
    r"""Quote a text in NODE_OPTIONS: between double quotes, where a backslash escapes `"` and itself (documented: node's CLI)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _quote_for_java(text: str) -> str:
    """Quote a text in JAVA_TOOL_OPTIONS, which has no escapes; a double quote stands between single ones (observed: OpenJDK)."""
    quote = '"'
    return quote + text.replace(quote, f"""{quote}'{quote}'{quote}""") + quote


def client_folder() -> TemporaryDirectory[str]:
    """Make a temporary folder for the files that clients are given. Raises StartError if there is no place for it.

    The folder of the `gcloud` shim stands in PATH, which cannot have a colon in a name: where that of TMPDIR has one, it is made elsewhere.
    """
    for place in (gettempdir(), "/tmp", "/var/tmp", str(Path.home())):  # noqa: S108  # made as safely as in TMPDIR
        if os.pathsep not in place:
            with suppress(OSError):
                return TemporaryDirectory(prefix="vertex-emulator-", dir=place)
    raise StartError(
        f'no folder for temporary files can be made in "{gettempdir()}"; set TMPDIR to one whose path has no colon'
    )


def child_environment(inherited: Mapping[str, str], config: ClientConfig) -> dict[str, str]:
    """The environment of a program: the inherited one, changed so that it reaches the emulator."""
    kept = {name: value for name, value in inherited.items() if name not in UNSET}
    appended = {name: _append(kept, name, value) for name, value in appended_variables(config).items()}
    path = {"PATH": f"{config.commands}:{kept.get('PATH') or os.defpath}"}
    return kept | fixed_variables(config) | appended | path


_PROXY_NAMES = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


def recorded_environment(
    inherited: Mapping[str, str], trust: TrustFiles, *, proxy: str, tls: str, hosts: str, java: bool = False
) -> dict[str, str]:
    """The environment of a program that keeps its own credentials and whose requests to some hosts are led to the recorder.

    `proxy` and `tls` are its addresses (`host:port`), `hosts` is an expression for the names of the hosts.
    """
    given = ",".join(inherited.get(name, "") for name in ("no_proxy", "NO_PROXY"))
    entries = [entry.strip() for entry in given.split(",") if entry.strip()]
    # Where no proxy is to be used at all, the others stay unused too.
    unset = {"SSL_CERT_DIR", "GOOGLE_API_USE_CLIENT_CERTIFICATE", *(_PROXY_NAMES if "*" in entries else ())}
    direct = ",".join(dict.fromkeys((*_LOOPBACK, *(entry for entry in entries if not _covers_google(entry)))))
    kept = {name: value for name, value in inherited.items() if name not in unset}
    variables = {
        "HTTPS_PROXY": f"http://{proxy}",
        "https_proxy": f"http://{proxy}",
        "NO_PROXY": direct,
        "no_proxy": direct,
        **dict.fromkeys(CERTIFICATE_VARIABLES, str(trust.certificate)),
        "VERTEX_EMULATOR_TLS_ADDR": tls,
        "VERTEX_EMULATOR_HOSTS": hosts,
        "NODE_OPTIONS": _append(kept, "NODE_OPTIONS", f"--require={_quote_for_node(str(trust.preload))}"),
    }
    if java:
        variables["JAVA_TOOL_OPTIONS"] = _append(kept, "JAVA_TOOL_OPTIONS", _java_options(proxy, trust.trust_store))
    return kept | variables


def _covers_google(entry: str) -> bool:
    """Whether an entry of NO_PROXY stands for hosts of Google's."""
    name = entry.lower().lstrip("*.").partition(":")[0].rstrip(".")
    return not name or any(is_below(domain, name) or is_below(name, domain) for domain in DOMAINS)


def shell_lines(config: ClientConfig) -> list[str]:
    """The same changes as lines for a POSIX shell."""
    fixed = fixed_variables(config)
    lines = [f"unset {' '.join(name for name in UNSET if name not in fixed)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in fixed.items()]
    lines += [
        f'export {name}="${{{name}:+${name} }}"{shlex.quote(value)}'
        for name, value in appended_variables(config).items()
    ]
    return [*lines, f'export PATH={shlex.quote(str(config.commands))}:"$PATH"']
