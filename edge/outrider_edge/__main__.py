"""`python -m outrider_edge` is the command `outrider`."""

from outrider_edge.cli import main

main()
