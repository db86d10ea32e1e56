"""The benchmarks are no part of the package, so they are found beside it, after whatever is installed."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
