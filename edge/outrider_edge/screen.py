"""An answer on a terminal: settled text stays, a provisional tail is drawn after it and withdrawn.

It moves the cursor by counting cells, for lines that wrap too. It knows text, not where it came
from; control characters in it never reach the terminal.
"""

from collections.abc import Callable
from typing import Final

from rich.cells import cell_len

_ERASE_BELOW: Final = "\x1b[J"
_DIM: Final = "\x1b[2m"
_PLAIN: Final = "\x1b[22m"
_TAB: Final = "    "

Size = Callable[[], tuple[int, int]]


class Screen:
    """`draw` the whole answer again whenever it has changed; `close` leaves a clean line."""

    def __init__(self, write: Callable[[str], object], size: Size) -> None:
        self._write = write
        self._size = size  # columns and rows of the terminal now
        self._given = 0  # characters of the settled text that were written
        self._column = 0  # at which the settled text ends
        self._wrapped = False  # it ends with a full row, and the cursor is already on the next
        self._tail = ""  # as it was asked for
        self._tail_rows = 0  # below the settled text's last row

    def draw(self, settled: str, tail: str) -> None:
        """Show `settled`, which only ever grows, and after it `tail`, dimmed."""
        fresh = settled[self._given :]
        if not fresh and tail == self._tail:
            return
        columns, rows = self._size()
        written = self._erased() + self._settle(visible(fresh), columns)
        self._given = len(settled)
        self._write(written + self._provisional(visible(tail), columns, rows))
        self._tail = tail

    def close(self) -> None:
        """Withdraw the tail and end the line."""
        self._write(self._erased() + ("\n" if self._column else ""))

    def _erased(self) -> str:
        """Back to where the settled text ends, and nothing after it."""
        if not self._tail:
            return ""
        up = f"\x1b[{self._tail_rows}A" if self._tail_rows else ""
        right = f"\x1b[{self._column}C" if self._column else ""
        self._tail, self._tail_rows = "", 0
        return f"{up}\r{right}{_ERASE_BELOW}"

    def _settle(self, text: str, columns: int) -> str:
        if not text:
            return ""
        text = self._after_wrapping(text)
        self._wrapped = False
        _, self._column = advanced(self._column, text, columns)
        if self._column < columns:
            return text
        # A cursor past the last column is on neither row: a space takes it to the next.
        self._column, self._wrapped = 0, True
        return f"{text} \r"

    def _after_wrapping(self, text: str) -> str:
        """A full row that already ended needs no newline to end it."""
        return text.removeprefix("\n") if self._wrapped else text

    def _provisional(self, text: str, columns: int, rows: int) -> str:
        shown = _fitting(self._column, self._after_wrapping(text), columns, max(rows - 1, 1))
        self._tail_rows, _ = advanced(self._column, shown, columns)
        return f"{_DIM}{shown}{_PLAIN}" if shown else ""


def visible(text: str) -> str:
    """The text with tabs as spaces and every other control character made visible."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character == "\t":
        return _TAB
    if character == "\n" or character.isprintable():
        return character
    code = ord(character)
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"


def advanced(column: int, text: str, columns: int) -> tuple[int, int]:
    """Rows further down and the column reached; a full row ends at column `columns`."""
    rows = 0
    for character in text:
        if character == "\n":
            rows, column = rows + 1, 0
            continue
        cells = cell_len(character)
        if column + cells > columns:
            rows, column = rows + 1, 0
        column += cells
    return rows, column


def _fitting(column: int, text: str, columns: int, rows: int) -> str:
    """As much of the text as takes fewer than `rows` rows more."""
    if advanced(column, text, columns)[0] < rows:
        return text
    for end in range(len(text)):
        if advanced(column, text[: end + 1], columns)[0] >= rows:
            return text[:end]
    return text
