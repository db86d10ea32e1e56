"""Key files of an emulator, made when somebody asks for them."""

import json
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from emulator.credentials.files import KeyFiles, write_key_files, write_private
from emulator.server.service import Service


class Keys:
    """A temporary folder with a service account's key file for each project; all have one key, because making one takes long."""

    def __init__(self, service: Service, url: str) -> None:
        self._service = service
        self._url = url
        self._folder: TemporaryDirectory[str] | None = None
        self._first: KeyFiles | None = None
        self._lock = threading.Lock()

    def find(self, project: str) -> Path:
        """The key file of a project's service account. Raises StartError if the package that makes keys is missing."""
        with self._lock:
            if self._folder is None:
                self._folder = TemporaryDirectory(prefix="vertex-emulator-")
            folder = Path(self._folder.name, project)
            if self._first is None:
                self._first = write_key_files(folder, url=self._url, project=project)
                self._service.public_keys[self._first.key_id] = self._first.public_key
            path = folder / self._first.service_account.name
            if not path.exists():
                fields = json.loads(self._first.service_account.read_text("utf-8"))
                fields["client_email"] = fields["client_email"].replace(f"@{fields['project_id']}.", f"@{project}.")
                fields["project_id"] = project
                write_private(folder, {path: json.dumps(fields, indent=2) + "\n"})
            return path

    def close(self) -> None:
        """Remove the folder."""
        with self._lock:
            if self._folder is not None:
                self._folder.cleanup()
            if self._first is not None:
                self._service.public_keys.pop(self._first.key_id, None)
            self._folder = self._first = None
