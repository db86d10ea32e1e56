"""HTTP clients, each as its own documentation has it; what each got from the real service's address is printed as JSON."""

import asyncio
import json
import ssl
import urllib.request
from typing import Any

import aiohttp
import google.auth
import google.auth.transport.requests
import httpx
import requests
from google.auth.transport.requests import AuthorizedSession

CREDENTIALS: Any
CREDENTIALS, PROJECT = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
CREDENTIALS.refresh(google.auth.transport.requests.Request())
HOST = "https://us-central1-aiplatform.googleapis.com"
URL = f"{HOST}/v1/projects/{PROJECT}/locations/us-central1/endpoints/openapi/chat/completions"
HEADERS = {"Authorization": f"Bearer {CREDENTIALS.token}", "Content-Type": "application/json"}
BODY: Any = {"model": "google/gemini-2.5-flash", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}

Session: Any = AuthorizedSession


def text_of(reply: str | bytes) -> str:
    """The text of an answer."""
    content: str = json.loads(reply)["choices"][0]["message"]["content"]
    return content


def with_urllib() -> str:
    """The standard library."""
    request = urllib.request.Request(URL, json.dumps(BODY).encode(), HEADERS)  # noqa: S310 - https, as written above
    with urllib.request.urlopen(request) as response:  # noqa: S310 - as above
        return text_of(response.read())


async def with_httpx_async() -> str:
    """The asynchronous client of httpx."""
    async with httpx.AsyncClient() as client:
        return text_of((await client.post(URL, headers=HEADERS, json=BODY)).text)


async def with_aiohttp() -> str:
    """A client of aiohttp that reads the environment."""
    async with (
        aiohttp.ClientSession(trust_env=True) as session,
        session.post(URL, headers=HEADERS, json=BODY) as answer,
    ):
        return text_of(await answer.text())


def with_regional_host() -> str:
    """A host with one label more, which one wildcard would not cover."""
    url = URL.replace("us-central1-aiplatform", "aiplatform.europe-west4.rep")
    return text_of(requests.post(url, headers=HEADERS, json=BODY, timeout=30).text)


def with_strict_checks() -> str:
    """A certificate that is checked as Python 3.13 does."""
    context = ssl.create_default_context()
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return text_of(httpx.post(URL, headers=HEADERS, json=BODY, verify=context).text)


print(  # noqa: T201 - this is how it reports
    json.dumps(
        {
            "urllib": with_urllib(),
            "requests": text_of(requests.post(URL, headers=HEADERS, json=BODY, timeout=30).text),
            "httpx": text_of(httpx.post(URL, headers=HEADERS, json=BODY).text),
            "httpx_async": asyncio.run(with_httpx_async()),
            "aiohttp": asyncio.run(with_aiohttp()),
            "authorized_session": text_of(Session(CREDENTIALS).post(URL, json=BODY).text),
            "regional_host": with_regional_host(),
            "strict_checks": with_strict_checks(),
        }
    )
)
