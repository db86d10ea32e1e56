"""The variables that lead a program to the emulator."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.intercept.environment import UNSET, ClientConfig, child_environment, client_folder, shell_lines

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


@pytest.mark.parametrize(
    "name", ["a folder", 'quo"ted', "it's", "back\\slash", "all \"of\\ it's", "$HOME", "line\nend"]
)
def test_paths_are_quoted_as_node_and_java_read_them(name: str) -> None:
    """Whatever the folder for temporary files is called, the module and the trust store are found."""
    folder = Path("/tmp") / name  # noqa: S108  # nothing is written
    variables = child_environment({}, replace(HERE, preload=folder / "p.cjs", trust_store=folder / "t.p12"))
    assert read_node_options(variables["NODE_OPTIONS"]) == [f"--require={folder}/p.cjs"]
    assert f"-Djavax.net.ssl.trustStore={folder}/t.p12" in read_java_options(variables["JAVA_TOOL_OPTIONS"])


def read_node_options(text: str) -> list[str]:
    """Split NODE_OPTIONS as Node does: between double quotes, a backslash escapes the next character."""
    found, inside, escaped = [""], False, False
    for char in text:
        if escaped or (char not in {'"', "\\"} and (inside or char != " ")) or (char == "\\" and not inside):
            found[-1] += char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            inside = not inside
        else:
            found.append("")
    return found


def read_java_options(text: str) -> list[str]:
    """Split JAVA_TOOL_OPTIONS as the JVM does: quotes of either kind anywhere in an option, without escapes."""
    found, quote = [""], ""
    for char in text:
        if quote or char in "\"'":
            quote, added = ("", "") if char == quote else (quote, char) if quote else (char, "")
            found[-1] += added
        elif char.isspace():
            found.append("")
        else:
            found[-1] += char
    return found


def test_folders_of_clients_can_stand_in_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder for temporary files with a colon is passed over; any other is used."""
    for name, is_used in (("with:colon", False), ("with 'quotes' \"", True)):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
        with client_folder() as folder:
            assert os.pathsep not in folder
            assert (Path(folder).parent == tmp_path / name) is is_used


def test_shell_lines_say_the_same() -> None:
    """The shell lines result in the same environment."""
    script = "\n".join([*shell_lines(HERE), "/usr/bin/env -0"])
    done = subprocess.run(["/bin/sh", "-c", script], env=INHERITED, capture_output=True, check=True)
    seen = dict(line.split("=", 1) for line in done.stdout.decode().strip("\0").split("\0"))
    assert {name: seen.get(name) for name in REPLACED} == REPLACED
    assert set(seen) - set(REPLACED) <= {"PWD", "OLDPWD", "SHLVL", "_"}
