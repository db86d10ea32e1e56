"""The program of the bare callable: `python bare_server.py ANSWERS PORT`. It imports nothing but what it needs to answer."""

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn

Message = dict[str, Any]


def build(file: Path) -> Callable[..., Awaitable[None]]:
    """The callable that sends the answers of a file; the query says which."""
    answers = {
        name.encode(): (
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(name.encode(), value.encode()) for name, value in answer["headers"]],
            },
            {"type": "http.response.body", "body": answer["body"].encode()},
        )
        for name, answer in json.loads(file.read_text("utf-8")).items()
    }

    async def answer(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        while (await receive()).get("more_body"):
            pass
        start, body = answers[scope["query_string"]]
        await send(start)
        await send(body)

    return answer


def main() -> None:
    """Serve the answers of a file at a port, with the settings of the emulator's own server."""
    config = uvicorn.Config(
        build(Path(sys.argv[1])),
        access_log=False,
        date_header=True,
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        ws="none",
    )
    loop = config.get_loop_factory()
    with (
        socket.create_server(("127.0.0.1", int(sys.argv[2])), backlog=2048) as bound,
        asyncio.Runner(loop_factory=loop) as runner,
    ):
        runner.run(uvicorn.Server(config).serve(sockets=[bound]))


if __name__ == "__main__":
    main()
