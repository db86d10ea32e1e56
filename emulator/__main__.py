"""`vertex-emulator`, which is also `python -m emulator`."""

import gc

from emulator.late import run_late


def prepare() -> None:
    """Make a process ready to load a command, which it does for nobody else."""
    # What is imported stays, so looking for garbage meanwhile would be in vain.
    gc.disable()
    # A server needs neither uvicorn's command line nor its supervisors, which bring much with them.
    run_late("uvicorn", Config="uvicorn.config")


def run() -> None:
    """Run the command line."""
    prepare()
    from emulator.cli import main  # noqa: PLC0415  # once everything is ready for it

    main()


if __name__ == "__main__":
    run()
