"""Credentials other than a service account's: those of a user, from FILE, and those of the machine if asked for."""

import json
import os
from typing import Any

import google.auth
import google.auth.transport.requests
from google.auth import compute_engine

auth: Any = google.auth
engine: Any = compute_engine
USER, PROJECT = auth.load_credentials_from_file(os.environ["FILE"])
# They are always refreshed at https://oauth2.googleapis.com, whatever the file says.
USER.refresh(google.auth.transport.requests.Request())
MACHINE = engine.Credentials()
MACHINE.refresh(google.auth.transport.requests.Request())
print(json.dumps({"user": USER.token[:5], "machine": MACHINE.token[:5]}))  # noqa: T201 - this is how it reports
