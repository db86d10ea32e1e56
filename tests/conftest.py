"""What holds for every test: nothing leaves this machine, and nothing is left to chance."""

import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("quick", max_examples=40, derandomize=True, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=100, derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", max_examples=1000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Tests that run pytest in this process restore `sys.modules`, and httpx, openai's httpx2 and cryptography tell objects by their classes.
for _name in ("cryptography.x509", "httpcore", "httpcore2"):
    with suppress(ModuleNotFoundError):
        import_module(_name)

_connect = socket.socket.connect


def is_local(host: str) -> bool:
    """Tell whether a host, as given to `connect`, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def connect_locally(self: socket.socket, address: Any) -> None:
    """Connect, or raise RuntimeError if the address is another machine's; clients do not retry that."""
    if self.family in {socket.AF_INET, socket.AF_INET6} and not is_local(address[0]):
        raise RuntimeError(f"a test tried to connect to {address[0]}; tests may only connect to this machine")
    _connect(self, address)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register markers; heed Ctrl-C also as a job that a script started in the background: programs that tests start would inherit that it is ignored."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    config.addinivalue_line("markers", "slow: takes seconds, so that `-m 'not slow'` is quick")
    if getattr(config.option, "dist", "") == "load":
        # What `-n` means by default; with this, no worker waits at the end while another has a queue.
        config.option.dist = "worksteal"
    if not config.pluginmanager.hasplugin("timeout"):
        config.addinivalue_line("markers", "timeout(seconds): a time limit, which needs the package pytest-timeout")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """With `-n auto`, run one more than there are processors: a fourth of the time, tests wait for programs that they have started."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors + 1


TIME_LIMIT = 300
"""Seconds that a test may take, its fixtures included; what hangs is stopped and told."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every test a time limit, unless it or the command line names another."""
    # A run of pytest that a test starts may have no plugins; that test has a limit.
    if not config.pluginmanager.hasplugin("timeout") or config.getoption("timeout") is not None:
        return
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIME_LIMIT))


@pytest.fixture(scope="session", autouse=True)
def _stay_on_this_machine() -> Iterator[None]:
    """Forbid connections to other machines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_locally)
        yield
