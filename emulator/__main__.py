"""`vertex-emulator`, which is also `python -m emulator`."""

import gc


def run() -> None:
    """Run the command line, as a process of its own."""
    # What is imported stays, so looking for garbage meanwhile would be in vain.
    gc.disable()
    from emulator.cli import main  # noqa: PLC0415  # as said above

    main()


if __name__ == "__main__":
    run()
