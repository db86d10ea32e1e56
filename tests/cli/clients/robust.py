"""A client that tries again for a while, waits for no answer for ever, and prints only what is complete."""

# ruff: noqa: BLE001, S310, T201  # whatever fails is tried again; it goes where the variables say, and prints what it gets

import json
import os
import sys
import time
import urllib.request

BODY = {"model": "google/gemini-2.5-flash", "stream": True, "messages": [{"role": "user", "content": "Tell a story"}]}
HEADERS = {"authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}


def ask() -> str:
    """Return the whole answer, or raise OSError, HTTPException or ValueError."""
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(url, json.dumps(BODY).encode(), HEADERS)
    with urllib.request.urlopen(request, timeout=0.5) as response:
        text = response.read().decode("utf-8-sig")
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in chunk.get("choices", [])]
    if not any(choice.get("finish_reason") for choice in choices):
        raise ValueError("the answer is not complete")
    return "".join(choice["delta"].get("content", "") for choice in choices)


reason = ""
for _attempt in range(3):
    try:
        print(ask())
        break
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        time.sleep(0.1)
else:
    sys.exit(f"no answer after three attempts: {reason}")
