"""`python -m outrider_cloud` is the command `outrider-cloud`."""

from outrider_protos.command import begin


def main() -> None:
    begin("outrider_cloud.cli")


if __name__ == "__main__":
    main()
