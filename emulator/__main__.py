"""`python -m emulator` is `vertex-emulator`."""

from emulator.cli import main

main()
