"""`python -m outrider_training` is the command `outrider-train`."""

from outrider_training.cli import main

main()
