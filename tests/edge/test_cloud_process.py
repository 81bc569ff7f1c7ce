"""A cloud process that does not start says why."""

import pytest

from outrider_edge.cloud_process import CloudProcess, last_line
from outrider_edge.errors import LibraryError


def test_a_target_that_is_not_there_is_named() -> None:
    with pytest.raises(LibraryError, match=r"the cloud did not start: .*no-such-folder"):
        CloudProcess("./no-such-folder").__enter__()


def test_a_missing_package_is_explained() -> None:
    log = b"Traceback\nNo module named 'outrider_cloud'"
    assert last_line(log) == "it is not installed: pip install 'outrider[cloud]'"
    assert last_line(b"one\ntwo\n") == "two"
    assert last_line(b"") == "it said nothing"
