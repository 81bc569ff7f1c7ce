"""`python -m outrider_cloud` is the command `outrider-cloud`."""

from outrider_cloud.cli import main

main()
