"""The pytest plugin of vertex-openai-emulator, in a package of its own: a module `emulator` of a user's cannot hide it.

Nothing here imports the package `emulator` before a fixture or marker is used, so that runs that do not use them may have a module of
that name.
"""

import os
from importlib.util import find_spec
from pathlib import Path


def find_hiding_module() -> str | None:
    """Say in a sentence which other module named `emulator` Python finds instead of the package; None if there is none."""
    try:
        spec = find_spec("emulator")
    except ValueError:
        # A module that was put into `sys.modules` by hand.
        spec = None
    places = [spec.origin] if spec and spec.origin else [*((spec and spec.submodule_search_locations) or ())]
    place = Path(places[0]) if places else None
    if place is not None and place.parent == Path(__file__).parents[1] / "emulator":
        return None
    where = os.path.relpath(place) if place and place.is_relative_to(Path.cwd()) else str(place or "in sys.modules")
    return (
        f'another module named "emulator" hides the package of vertex-openai-emulator: {where}; rename it, or keep its folder out of '
        "sys.path"
    )
