"""`python -m outrider_training` is the command `outrider-train`."""

from outrider_protos.command import begin


def main() -> None:
    begin("outrider_training.cli")


if __name__ == "__main__":
    main()
