"""google.auth.default() without scopes, as Google's notebooks have it; what came of it is printed as JSON."""

import json
from typing import Any

import google.auth
import google.auth.exceptions
import google.auth.transport.requests
import openai

MESSAGES: Any = [{"role": "user", "content": "Why is the sky blue?"}]
SESSION: Any = google.auth.transport.requests.AuthorizedSession

credentials: Any
credentials, project = google.auth.default()
kind = f"{type(credentials).__module__}.{type(credentials).__name__}"
try:
    credentials.refresh(google.auth.transport.requests.Request())
except google.auth.exceptions.RefreshError as error:
    print(json.dumps({"kind": kind, "project": project, "error": error.args[0]}))  # noqa: T201 - this is how it reports
else:
    host = "https://us-central1-aiplatform.googleapis.com"
    base_url = f"{host}/v1/projects/{project}/locations/us-central1/endpoints/openapi/chat/completions?"
    client = openai.OpenAI(base_url=base_url, api_key=credentials.token)
    answer = client.chat.completions.create(model="google/gemini-2.5-flash", messages=MESSAGES)
    text = answer.choices[0].message.content
    body: Any = {"model": "google/gemini-2.5-flash", "messages": MESSAGES}
    status = SESSION(credentials).post(base_url, json=body).status_code
    print(json.dumps({"kind": kind, "project": project, "text": text, "session": status}))  # noqa: T201 - as above
