"""Credential files in Google's formats, generated for one server; they are valid for the emulator only."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.errors import StartError

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_PROJECT_NUMBER = "123456789012"
_KEY_BITS = 2048


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The files that were written, and the public half of the service account's key."""

    service_account: Path
    authorized_user: Path
    external_account: Path
    subject_token: Path
    """The file with the token that `external_account` exchanges."""
    key_id: str
    public_key: str
    """PEM. Put into `Service.public_keys[key_id]`, the signatures of this account's assertions are verified."""


def write_key_files(folder: Path, *, url: str, project: str, overwrite: bool = False) -> KeyFiles:
    """Write the files of a service account, a user and a federated identity for the server at a URL.

    A new folder has mode 0700, the files have mode 0600. Raises StartError if one of them exists and must not be overwritten, if the
    folder cannot be written to, or if the package cryptography is missing.
    """
    private_key, public_key = _make_key()
    files = KeyFiles(
        service_account=folder / "service-account.json",
        authorized_user=folder / "authorized-user.json",
        external_account=folder / "external-account.json",
        subject_token=folder / "subject-token",
        key_id=secrets.token_hex(20),
        public_key=public_key,
    )
    texts = {
        files.service_account: _to_json(_service_account(url, project, files.key_id, private_key)),
        files.authorized_user: _to_json(_authorized_user(project)),
        files.external_account: _to_json(_external_account(url, files.subject_token.absolute())),
        files.subject_token: secrets.token_urlsafe(32),
    }
    write_private(folder, texts, overwrite=overwrite)
    return files


def write_private(folder: Path, texts: dict[Path, str], *, overwrite: bool = False, mode: int = _FILE_MODE) -> None:
    """Write files that only their owner may read, and create the folder if necessary.

    Raises StartError if it cannot be written to, or, without `overwrite` and before anything is written, if a file exists.
    """
    present = [path for path in texts if path.exists() or path.is_symlink()]
    if present and not overwrite:
        raise StartError(f"{present[0]} exists already; nothing was written")
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        for path, text in texts.items():
            _replace(path, text, mode)
    except OSError as error:
        raise StartError(f"cannot write into {folder}: {(error.strerror or str(error)).lower()}") from None


def _replace(path: Path, text: str, mode: int) -> None:
    """Write a file atomically, by way of a temporary file in the same folder."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _make_key() -> tuple[str, str]:
    """Generate an RSA key; return its private and its public half as PEM."""
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # slow to import
        from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415  # as above
    except ImportError:
        raise StartError(
            "making keys needs the package cryptography; pip install 'vertex-openai-emulator[exec]'"
        ) from None
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    private_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_key = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private_key.decode(), public_key.decode()


def _service_account(url: str, project: str, key_id: str, private_key: str) -> dict[str, Any]:
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": key_id,
        "private_key": private_key,
        "client_email": f"vertex-emulator@{project}.iam.gserviceaccount.com",
        "client_id": f"1{secrets.randbelow(10**20):020}",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": f"{url}/token",
        "universe_domain": "googleapis.com",
    }


def _authorized_user(project: str) -> dict[str, Any]:
    # As `gcloud auth application-default login` writes it (observed); the project is the one that is billed.
    return {
        "account": "",
        "client_id": f"{_PROJECT_NUMBER}-{secrets.token_hex(16)}.apps.googleusercontent.com",
        "client_secret": f"GOCSPX-{secrets.token_urlsafe(21)}",
        "quota_project_id": project,
        "refresh_token": f"1//0{secrets.token_urlsafe(48)}",
        "type": "authorized_user",
        "universe_domain": "googleapis.com",
    }


def _external_account(url: str, subject_token: Path) -> dict[str, Any]:
    pool = f"//iam.googleapis.com/projects/{_PROJECT_NUMBER}/locations/global/workloadIdentityPools/emulator/providers/emulator"
    return {
        "type": "external_account",
        "audience": pool,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{url}/v1/token",
        "credential_source": {"file": str(subject_token), "format": {"type": "text"}},
        "universe_domain": "googleapis.com",
    }


def _to_json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, indent=2) + "\n"
