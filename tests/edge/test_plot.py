"""The picture of a frontier."""

from pathlib import Path

import pytest

from outrider_edge.errors import BadInput
from outrider_edge.frontier import Point
from outrider_edge.plot import check_place, plot_frontier

POINT = Point(
    fallback=0.5,
    rollback=1.0,
    disagreement=0.01,
    accuracy=None,
    calls_per_token=0.2,
    bytes_per_token=9.0,
    tokens_per_s=50.0,
)


def test_it_is_a_png(tmp_path: Path) -> None:
    file = tmp_path / "frontier.png"
    plot_frontier([POINT], POINT, file)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"frontier\.png cannot be written"):
        plot_frontier([POINT], None, tmp_path / "none" / "frontier.png")


def test_a_place_that_is_not_there_is_noticed_before_the_work(tmp_path: Path) -> None:
    check_place(tmp_path / "frontier.png")
    for wrong in (tmp_path, tmp_path / "none" / "frontier.png"):
        with pytest.raises(BadInput):
            check_place(wrong)
