"""The generated queries run on their schemas and give the rows the questions ask for."""

import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from random import Random
from statistics import mean

import pytest

from outrider_training.tasks import KINDS
from outrider_training.tasks.sql import TABLES

Row = dict[str, str | int]
Rows = list[tuple[object, ...]]


def _holds(value: object, word: str, bound: str) -> bool:
    assert isinstance(value, int)
    return {"above": value > int(bound), "below": value < int(bound)}.get(word, value == int(bound))


def _where(rows: list[Row], wanted: str, column: str, word: str, bound: str) -> Rows:
    return [(row[wanted],) for row in rows if _holds(row[column], word, bound)]


def _both(rows: list[Row], wanted: str, first: str, low: str, second: str, high: str) -> Rows:
    kept = [r for r in rows if _holds(r[first], "above", low) and _holds(r[second], "below", high)]
    return [(row[wanted],) for row in kept]


def _between(rows: list[Row], one: str, two: str, column: str, low: str, high: str) -> Rows:
    inside = range(int(low), int(high) + 1)
    return [(row[one], row[two]) for row in rows if row[column] in inside]


def _average_by(rows: list[Row], column: str, group: str) -> Rows:
    groups = {row[group] for row in rows}
    return [(g, mean(int(r[column]) for r in rows if r[group] == g)) for g in groups]


def _having(rows: list[Row], group: str, bound: str) -> Rows:
    counted = Counter(row[group] for row in rows)
    return [(value,) for value, count in counted.items() if count > int(bound)]


def _sum_of(rows: list[Row], column: str, by: str, word: str) -> Rows:
    kept = [int(row[column]) for row in rows if row[by] == word]
    return [(sum(kept) if kept else None,)]


# What the question says, read independently of the generator, and what that means for rows.
REFERENCES: dict[str, tuple[str, Callable[..., Rows]]] = {
    "count": (r"How many rows", lambda rows: [(len(rows),)]),
    "where": (
        r"List the (\w+) of each \w+ with (\w+) (above|below|equal) (?:to )?(\d+)",
        _where,
    ),
    "count_where": (
        r"Count each \w+ with (\w+) (above|below|equal) (?:to )?(\d+)",
        lambda rows, *of: [(len(_where(rows, of[0], *of)),)],
    ),
    "average_by": (r"average (\w+) for each (\w+)", _average_by),
    "highest": (
        r"the (\w+) of the \w+ with the highest (\w+)",
        lambda rows, wanted, by: [(max(rows, key=lambda row: row[by])[wanted],)],
    ),
    "lowest": (
        r"Show the (\w+) of the (\d+) rows of \w+ with the lowest (\w+)",
        lambda rows, wanted, count, by: [
            (row[wanted],) for row in sorted(rows, key=lambda row: row[by])[: int(count)]
        ],
    ),
    "having": (r"Which (\w+) appears in more than (\d+) rows", _having),
    "distinct": (
        r"every different (\w+) of",
        lambda rows, column: [(value,) for value in sorted({row[column] for row in rows})],
    ),
    "sum_of": (r"total (\w+) of each \w+ whose (\w+) is (\w+)", _sum_of),
    "both": (r"List the (\w+) of each \w+ with (\w+) above (\d+) and (\w+) below (\d+)", _both),
    "between": (
        r"List the (\w+) and (\w+) of each \w+ with (\w+) from (\d+) to (\d+)",
        _between,
    ),
    "extremes": (
        r"smallest and the largest (\w+)",
        lambda rows, column: [(min(row[column] for row in rows), max(row[column] for row in rows))],
    ),
}
ORDERED = {"highest", "lowest", "distinct"}
TEXT_WORDS = ("North", "South", "Oak", "Red")


def _fill(database: sqlite3.Connection, schema: str, query: str, random: Random) -> list[Row]:
    """Rows whose numbers differ within a column, so that every order is unambiguous."""
    table, columns = schema.split("(")
    names = columns.rstrip(")").split(", ")
    database.execute(f"CREATE TABLE {schema}")
    texts = [*TEXT_WORDS, *re.findall(r"'(\w+)'", query)]
    numbers = {name: random.sample(range(1, 100), 30) for name in names}
    rows: list[Row] = [
        {name: random.choice(texts) if _is_text(name) else numbers[name][index] for name in names}
        for index in range(30)
    ]
    places = ", ".join("?" * len(names))
    database.executemany(
        f"INSERT INTO {table} VALUES ({places})", [tuple(row.values()) for row in rows]
    )
    return rows


def _is_text(column: str) -> bool:
    return any(column in text.split() for _, text, _ in TABLES)


@pytest.mark.parametrize("kind", REFERENCES)
def test_queries_give_what_the_question_asks(kind: str) -> None:
    pattern, meaning = REFERENCES[kind]
    for seed in range(25):
        random = Random(seed)
        prompt, query = KINDS["sql"][kind](random)
        schema = prompt.removeprefix("Table ").split(". ")[0]
        with sqlite3.connect(":memory:") as database:
            rows = _fill(database, schema, query, random)
            found = database.execute(query).fetchall()
        database.close()
        question = re.search(pattern, prompt)
        assert question is not None
        expected = meaning(rows, *question.groups())
        if kind in ORDERED:
            assert found == expected
        else:
            assert sorted(found, key=repr) == sorted(expected, key=repr)


def test_joins_pair_each_row_with_its_own_parent() -> None:
    for seed in range(25):
        prompt, query = KINDS["sql"]["join"](Random(seed))
        left, right = re.findall(r"\w+\([^)]*\)", prompt)
        wanted = re.search(r"List the (\w+) of each (\w+) with the (\w+) of its (\w+)", prompt)
        assert wanted is not None
        first, child, second, parent = wanted.groups()
        database = sqlite3.connect(":memory:")
        for schema in (left, right):
            database.execute(f"CREATE TABLE {schema}")
        for number in range(4):
            database.execute(
                f"INSERT INTO {parent}(id, {second}) VALUES (?, ?)", (number, f"p{number}")
            )
            database.execute(
                f"INSERT INTO {child}({parent}_id, {first}) VALUES (?, ?)",
                (number, f"c{number}"),
            )
        found = database.execute(query).fetchall()
        database.close()
        assert sorted(found) == [(f"c{number}", f"p{number}") for number in range(4)]


def test_every_kind_of_query_is_run() -> None:
    assert {*REFERENCES, "join"} == set(KINDS["sql"])
