"""Key files, the gcloud shim and the command that writes them."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from emulator.api.emulator import Emulator
from emulator.cli.commands import main
from emulator.credentials.gcloud_shim import renew_token, write_gcloud_shim
from emulator.credentials.key_files import KeyFiles, write_key_files
from emulator.errors import StartError

URL = "http://127.0.0.1:8080"


def modes(folder: Path) -> set[int]:
    """List the modes of all files below a folder."""
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}


def test_key_files(tmp_path: Path) -> None:
    """The files have Google's fields, name the server, and only their owner may read them."""
    files = write_key_files(tmp_path / "a" / "keys", url=URL, project="demo")
    assert modes(tmp_path) == {0o600}
    assert stat.S_IMODE((tmp_path / "a" / "keys").stat().st_mode) == 0o700
    account = json.loads(files.service_account.read_text())
    assert account["token_uri"] == f"{URL}/token"
    assert account["client_email"].endswith("@demo.iam.gserviceaccount.com")
    assert account["private_key"].startswith("-----BEGIN PRIVATE KEY-----")
    assert account["private_key_id"] == files.key_id
    federated = json.loads(files.external_account.read_text())
    assert federated["token_url"] == f"{URL}/v1/token"
    assert federated["credential_source"]["file"] == str(files.subject_token)
    assert json.loads(files.authorized_user.read_text())["type"] == "authorized_user"
    assert len(list(files.service_account.parent.iterdir())) == 4


def test_keys_are_fresh(tmp_path: Path) -> None:
    """Two calls generate different secrets."""
    first, second = (write_key_files(tmp_path / name, url=URL, project="demo") for name in ("one", "two"))
    assert first.public_key != second.public_key
    for name in ("service_account", "authorized_user", "subject_token"):
        assert getattr(first, name).read_text() != getattr(second, name).read_text()


@pytest.mark.parametrize("name", ["service-account.json", "subject-token", "external-account.json"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    """Without `overwrite`, one existing file, even a dangling link, keeps all from being written."""
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(StartError, match=f"{name} exists already; nothing was written"):
        write_key_files(tmp_path, url=URL, project="demo")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    write_key_files(tmp_path, url=URL, project="demo", overwrite=True)
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / name).is_symlink()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """An error of the file system is reported in one sentence."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StartError, match=r"cannot write into .*file: "):
        write_key_files(tmp_path / "file", url=URL, project="demo")


def gcloud(shim: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the shim."""
    return subprocess.run(
        [shim, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20
    )


@pytest.mark.parametrize(
    "arguments",
    [
        "auth print-access-token",
        "auth application-default print-access-token",
        "--quiet auth print-access-token --scopes=https://www.googleapis.com/auth/cloud-platform",
        "--project demo auth print-access-token somebody@example.com",
    ],
)
def test_shim_prints_the_token(tmp_path: Path, arguments: str) -> None:
    """With any flags only the token is printed; a renewed one is used at once."""
    folder = tmp_path / "it's a folder"
    shim = write_gcloud_shim(folder, url=URL, project="demo", token="ya29.first")
    assert gcloud(shim, *arguments.split()).stdout == "ya29.first\n"
    renew_token(folder, "ya29.second")
    done = gcloud(shim, *arguments.split())
    assert (done.stdout, done.stderr, done.returncode) == ("ya29.second\n", "", 0)
    assert modes(folder) == {0o600, 0o700}


@pytest.mark.parametrize(
    "arguments", ["config get project", "config get-value project", "config get-value core/project"]
)
def test_shim_prints_the_project(tmp_path: Path, arguments: str) -> None:
    """The project is printed unchanged, even with characters special to the shell."""
    shim = write_gcloud_shim(tmp_path, url=URL, project="it's $HOME")
    assert gcloud(shim, *arguments.split()).stdout == "it's $HOME\n"


@pytest.mark.parametrize(
    "arguments",
    [
        *("", "auth login", "auth application-default login", "auth print-identity-token", "auth print-access-tokens"),
        *("config get", "config set project demo", "storage ls", "services enable aiplatform.googleapis.com"),
        "ai endpoints list --region=us-central1",
    ],
)
def test_shim_refuses_other_commands(tmp_path: Path, arguments: str) -> None:
    """Other commands get a message that names them and what there is, and the status of wrong usage, at once."""
    done = gcloud(write_gcloud_shim(tmp_path, url=URL, project="demo", token="ya29.x"), *arguments.split())
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.splitlines() == [
        (
            "gcloud (vertex-emulator): only auth print-access-token, auth application-default print-access-token and "
            f"config get project are there; this was: gcloud {arguments}"
        ),
        "gcloud (vertex-emulator): nothing was done; for anything else call the real gcloud by its path, outside of the emulator",
    ]


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the shim asks by curl")


@needs_curl
def test_shim_asks_the_server(tmp_path: Path, vertex: Emulator) -> None:
    """Without a token file the shim asks the server, not a proxy."""
    shim = write_gcloud_shim(tmp_path, url=vertex.url, project="demo")
    hostile = os.environ | {"http_proxy": "http://127.0.0.1:9", "NO_PROXY": ""}
    command = [str(shim), "auth", "print-access-token"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=hostile)
    assert vertex.service.mint.judge(done.stdout.strip(), vertex.service.clock.now()) == "valid"


@needs_curl
def test_shim_without_a_server(tmp_path: Path) -> None:
    """If no server answers, an error is printed and no token."""
    done = gcloud(write_gcloud_shim(tmp_path, url="http://127.0.0.1:9", project="demo"), "auth", "print-access-token")
    assert (done.stdout, done.returncode) == ("", 1)
    assert "is the emulator running?" in done.stderr


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call `credentials` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["credentials", *arguments], catch_exceptions=False)

    return call


@needs_curl
def test_command_prints_an_environment_that_works(tmp_path: Path, vertex: Emulator, run: Any) -> None:
    """The output can be pasted into a shell; the project is the server's."""
    done = run("--url", f"{vertex.url}/")
    assert done.exit_code == 0, done.output
    assert "GCE_METADATA" not in done.output
    program = (
        'printf "%s\\n" "$GOOGLE_APPLICATION_CREDENTIALS" "$GOOGLE_CLOUD_PROJECT" "$OPENAI_BASE_URL" "$OPENAI_API_KEY"'
    )
    shell = subprocess.run(["sh", "-c", f"{done.output}\n{program}"], capture_output=True, text=True, check=True)
    path, project, base, token = shell.stdout.splitlines()
    assert Path(path) == tmp_path / "vertex-credentials" / "service-account.json"
    assert project == "demo"
    assert base == vertex.session("demo").base_url
    assert vertex.service.mint.judge(token, vertex.service.clock.now()) == "valid"
    assert modes(tmp_path) == {0o600, 0o700}


def test_command_options(vertex: Emulator, run: Any) -> None:
    """Folder, project, location and the variables of the metadata server."""
    done = run("keys", "--url", vertex.url, "--project", "blue", "--location", "europe-west4", "--metadata")
    assert done.exit_code == 0, done.output
    assert "export GOOGLE_CLOUD_PROJECT=blue\n" in done.output
    assert f"export OPENAI_BASE_URL={vertex.session('blue', location='europe-west4').base_url}\n" in done.output
    host = vertex.url.removeprefix("http://")
    assert f"export GCE_METADATA_HOST={host}\nexport GCE_METADATA_IP={host}\n" in done.output


@pytest.mark.parametrize("there", ["service-account.json", "bin/gcloud"])
def test_command_overwrites_only_when_told(tmp_path: Path, vertex: Emulator, run: Any, there: str) -> None:
    """Existing files are kept without --force."""
    path = tmp_path / "keys" / there
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    done = run("keys", "--url", vertex.url)
    assert done.exit_code == 1
    assert "exists already; nothing was written; --force overwrites it" in done.output
    assert [one.read_text() for one in (tmp_path / "keys").rglob("*") if one.is_file()] == ["precious"]
    assert run("keys", "--url", vertex.url, "--force").exit_code == 0
    assert path.read_text() != "precious"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", "no emulator at http://127.0.0.1:9: connection refused"),
        ("127.0.0.1:8080", "is not the address of a server"),
        ("ftp://x", "is not the address of a server"),
        ("http://", "is not the address of a server"),
        ("http://[::1", "is not the address of a server"),
        ("http://x:99999", "is not the address of a server"),
        ("http://x/v1", "is not the address of a server"),
    ],
)
def test_command_needs_a_server(tmp_path: Path, run: Any, url: str, words: str) -> None:
    """If no emulator answers, nothing is written and the message has advice."""
    done = run("--url", url)
    assert done.exit_code == 1
    assert words in done.output
    assert list(tmp_path.iterdir()) == []


def test_key_files_of_the_fixture_verify(keys: KeyFiles) -> None:
    """The public key is PEM, as the service needs it."""
    assert keys.public_key.startswith("-----BEGIN PUBLIC KEY-----")


def test_package_that_makes_keys_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without cryptography the message says what to install, and nothing is written."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(StartError, match=r"pip install 'vertex-openai-emulator\[exec\]'"):
        write_key_files(tmp_path / "keys", url=URL, project="demo")
    assert list(tmp_path.iterdir()) == []
