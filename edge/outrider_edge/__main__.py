"""`python -m outrider_edge` is the command `outrider`."""

from outrider_protos.command import begin


def main() -> None:
    begin("outrider_edge.cli")


if __name__ == "__main__":
    main()
