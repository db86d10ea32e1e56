"""`vertex-emulator`, which is also `python -m emulator`."""

import gc

from emulator.late import run_late

_CORE = ("PydanticCustomError", "SchemaValidator", "ValidationError", "from_json", "to_json")


def prepare() -> None:
    """Make a process ready to load a command, which it does for nobody else."""
    # What is imported stays, so looking for garbage meanwhile would be in vain.
    gc.disable()
    # A server needs neither uvicorn's command line nor its supervisors, which bring much with them.
    run_late("uvicorn", Config="uvicorn.config")
    # What pydantic's core can do is in one module; the package adds descriptions of schemas, for those who want to read them.
    run_late("pydantic_core", **dict.fromkeys(_CORE, "pydantic_core._pydantic_core"))


def run() -> None:
    """Run the command line."""
    prepare()
    from emulator.cli import main  # noqa: PLC0415  # once everything is ready for it

    main()


if __name__ == "__main__":
    run()
