"""Prompts from a file."""

from pathlib import Path

import pytest

from outrider_edge.errors import BadInput, BadText
from outrider_edge.questions import MAX_FILE_BYTES, Question, read_questions


def written(folder: Path, data: bytes) -> Path:
    file = folder / "prompts"
    file.write_bytes(data)
    return file


def test_json_and_plain_lines_may_be_mixed(tmp_path: Path) -> None:
    data = b'{"prompt": "a", "answer": "b", "domain": "d", "more": 1}\n\nWhy?\n{"prompt": "c"}'
    assert read_questions(written(tmp_path, data)) == [
        Question("a", "b", "d"),
        Question("Why?"),
        Question("c"),
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no prompt"),
        (b"ok\n{", "line 2: is not valid JSON"),
        (b'{"answer": "x"}', "line 1: has no text under `prompt`"),
        (b'{"prompt": "x", "answer": 3}', "line 1: `answer` and `domain` must be texts"),
        (b"x" * (MAX_FILE_BYTES + 1), "is larger than"),
    ],
)
def test_malformed_files_are_refused_with_the_line(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_questions(written(tmp_path, data))


def test_what_is_not_utf8_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadText, match="prompts is not UTF-8: see byte 1"):
        read_questions(written(tmp_path, b"a\xff"))
    with pytest.raises(BadInput, match="No such file"):
        read_questions(tmp_path / "none")
