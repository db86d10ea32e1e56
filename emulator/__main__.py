"""`vertex-emulator`, which is also `python -m emulator`."""

from emulator.cli.commands import main


def run() -> None:
    """Run the command line."""
    main()


if __name__ == "__main__":
    run()
