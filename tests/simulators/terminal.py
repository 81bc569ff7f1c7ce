"""A terminal of a few columns: enough of one to see what a program left on it.

It wraps as terminals do: a character past the last column goes to the next row, but a row that is
exactly full keeps the cursor until something follows.
"""

import re

from rich.cells import cell_len

_SEQUENCE = re.compile(r"\x1b\[(\d*)([A-Za-z])")


class Terminal:
    """Feed it what was written; `rows` is what can be read, `dimmed` what of it is dim."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._cells: list[dict[int, tuple[str, bool]]] = [{}]
        self._row = self._column = 0
        self._dim = False

    def feed(self, text: str) -> None:
        at = 0
        while at < len(text):
            if match := _SEQUENCE.match(text, at):
                self._obey(match[2], int(match[1] or 1))
                at = match.end()
                continue
            self._put(text[at])
            at += 1

    @property
    def rows(self) -> list[str]:
        return [self._text(row, everything=True) for row in self._written()]

    @property
    def dimmed(self) -> str:
        return "".join(self._text(row, everything=False) for row in self._written())

    def _written(self) -> list[dict[int, tuple[str, bool]]]:
        rows = list(self._cells)
        while rows and not self._text(rows[-1], everything=True):
            rows.pop()
        return rows

    def _text(self, row: dict[int, tuple[str, bool]], *, everything: bool) -> str:
        line = ""
        for column in sorted(row):
            character, dim = row[column]
            if everything:
                line += " " * (column - cell_len(line))
            line += character if everything or dim else ""
        return line.rstrip()

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._down()
        else:
            assert character.isprintable(), "a control character reached the terminal"
            if self._column + cell_len(character) > self._columns:
                self._down()
            self._cells[self._row][self._column] = (character, self._dim)
            self._column += cell_len(character)

    def _down(self) -> None:
        self._row, self._column = self._row + 1, 0
        if self._row == len(self._cells):
            self._cells.append({})

    def _obey(self, letter: str, number: int) -> None:
        match letter:
            case "A":
                self._row -= number
                assert self._row >= 0
            case "C":
                self._column += number
                assert self._column < self._columns
            case "J":
                kept = {c: cell for c, cell in self._cells[self._row].items() if c < self._column}
                self._cells[self._row :] = [kept]
            case "m":
                self._dim = number == 2
            case _:
                raise AssertionError(f"unknown sequence {letter}")
