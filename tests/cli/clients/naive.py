"""A client that takes what comes: no timeout, no second try, no look at how the answer ended."""

# ruff: noqa: S310, T201  # it goes where the variables say, and prints what it gets

import json
import os
import urllib.request
from http.client import IncompleteRead

BODY = {"model": "google/gemini-2.5-flash", "stream": True, "messages": [{"role": "user", "content": "Tell a story"}]}
HEADERS = {"authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
request = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(BODY).encode(), HEADERS
)
with urllib.request.urlopen(request) as response:
    try:
        text = response.read().decode()
    except IncompleteRead as error:
        text = error.partial.decode()
for line in text.splitlines():
    if line.startswith("data: {"):
        print(json.loads(line[6:])["choices"][0]["delta"].get("content", ""), end="")
print()
