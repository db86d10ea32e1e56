"""Set variables and outputs of a job: `set_variables.py SERVER LOG`, SERVER is what `vertex-emulator serve --print json` prints."""

import json
import os
import sys
from pathlib import Path

server, log = json.loads(sys.argv[1]), sys.argv[2]
variables = {
    **server["environment"],
    "VERTEX_EMULATOR_URL": server["url"],
    "VERTEX_EMULATOR_API_KEY": server["api_key"],
}
outputs = {"url": server["url"], "base-url": server["base_url"], "api-key": server["api_key"], "log": log}
for file, values in (("GITHUB_ENV", variables), ("GITHUB_OUTPUT", outputs)):
    with Path(os.environ[file]).open("a", encoding="utf-8") as lines:
        lines.writelines(f"{name}={value}\n" for name, value in values.items())
print(f"vertex-emulator {server['version']} answers at {server['url']}")
