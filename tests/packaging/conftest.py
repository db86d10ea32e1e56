"""What is built for the package index: tested only by `pytest -m packaged`, once `python -m build --outdir .cache/dist` has run."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", "packaged: installs what was built into environments of its own and uses it there"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out unless the run asks for them by their marker: they download packages."""
    if "packaged" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("packaged")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
