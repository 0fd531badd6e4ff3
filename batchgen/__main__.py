"""`python -m batchgen` is the same as `batchgen`."""

from batchgen.cli import main

main()
