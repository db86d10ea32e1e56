"""Sends each argument to the endpoint that the environment names; prints the statuses of errors."""

import json
import os
import sys
import urllib.error
import urllib.request

MODEL = os.environ.get("MODEL", "google/gemini-3.5-flash")
for text in sys.argv[1:]:
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": text}]}).encode()
    bearer = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, bearer)  # noqa: S310 - the emulator
    try:
        urllib.request.urlopen(request)  # noqa: S310 - as above
    except urllib.error.HTTPError as error:
        print(error.code)  # noqa: T201 - this is how it reports
