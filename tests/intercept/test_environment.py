"""The variables that lead a program to the emulator."""

import os
import subprocess
from pathlib import Path

import pytest

from emulator.intercept.environment import UNSET, ClientConfig, child_environment, shell_lines

FOLDER = Path("/a folder")
HERE = ClientConfig(
    url="http://127.0.0.1:1",
    base_url="http://127.0.0.1:1/v1/projects/p/locations/l/endpoints/openapi",
    api_key="ya29.x",
    project="p",
    proxy="127.0.0.1:3",
    tls="127.0.0.1:2",
    certificate=FOLDER / "ca.pem",
    key_file=FOLDER / "key.json",
    preload=FOLDER / "preload.cjs",
    commands=FOLDER / "bin",
    trust_store=FOLDER / "trust.p12",
    metadata=True,
)
PLAIN = {
    "HTTPS_PROXY": "http://127.0.0.1:3",
    "https_proxy": "http://127.0.0.1:3",
    "NO_PROXY": "127.0.0.1,localhost,::1",
    "no_proxy": "127.0.0.1,localhost,::1",
    "SSL_CERT_FILE": "/a folder/ca.pem",
    "REQUESTS_CA_BUNDLE": "/a folder/ca.pem",
    "CURL_CA_BUNDLE": "/a folder/ca.pem",
    "NODE_EXTRA_CA_CERTS": "/a folder/ca.pem",
    "GOOGLE_APPLICATION_CREDENTIALS": "/a folder/key.json",
    "GOOGLE_CLOUD_PROJECT": "p",
    "OPENAI_BASE_URL": "http://127.0.0.1:1/v1/projects/p/locations/l/endpoints/openapi",
    "OPENAI_API_KEY": "ya29.x",
    "VERTEX_EMULATOR_TLS_ADDR": "127.0.0.1:2",
    "GCE_METADATA_HOST": "127.0.0.1:1",
    "GCE_METADATA_IP": "127.0.0.1:1",
}
NODE = '--require="/a folder/preload.cjs"'
JAVA = (
    "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3 "
    '-Djavax.net.ssl.trustStore="/a folder/trust.p12" -Djavax.net.ssl.trustStorePassword=changeit'
)
BARE = {**PLAIN, "NODE_OPTIONS": NODE, "JAVA_TOOL_OPTIONS": JAVA, "PATH": f"/a folder/bin:{os.defpath}"}
INHERITED = {
    **dict.fromkeys((*UNSET, *PLAIN), "elsewhere"),
    "NODE_OPTIONS": "--no-warnings",
    "JAVA_TOOL_OPTIONS": "-Xmx1g",
    "PATH": "/usr/bin:/bin",
    "KEPT": "as it is",
}
REPLACED = {
    **PLAIN,
    "NODE_OPTIONS": f"--no-warnings {NODE}",
    "JAVA_TOOL_OPTIONS": f"-Xmx1g {JAVA}",
    "PATH": "/a folder/bin:/usr/bin:/bin",
    "KEPT": "as it is",
}


@pytest.mark.parametrize(("inherited", "expected"), [({}, BARE), (INHERITED, REPLACED)], ids=["bare", "hostile"])
def test_child_environment(inherited: dict[str, str], expected: dict[str, str]) -> None:
    """Inherited variables that direct elsewhere are replaced or removed, others are kept or extended."""
    assert child_environment(inherited, HERE) == expected


def test_shell_lines_say_the_same() -> None:
    """The shell lines result in the same environment."""
    script = "\n".join([*shell_lines(HERE), "/usr/bin/env -0"])
    done = subprocess.run(["/bin/sh", "-c", script], env=INHERITED, capture_output=True, check=True)
    seen = dict(line.split("=", 1) for line in done.stdout.decode().strip("\0").split("\0"))
    assert {name: seen.get(name) for name in REPLACED} == REPLACED
    assert set(seen) - set(REPLACED) <= {"PWD", "OLDPWD", "SHLVL", "_"}
