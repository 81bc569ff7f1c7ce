"""Text-to-SQL over small schemas; every query follows from the question and the schema in it.

It does not run the queries; the tests do.
"""

# ruff: noqa: S608 - the queries are text to learn from; nothing is spliced in from outside

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from outrider_training.tasks.task import Kind, Kinds, Wording, words

# table, its text columns, its number columns
TABLES = (
    ("singer", "name country label", "age salary albums"),
    ("flight", "origin airline gate", "price distance seats"),
    ("student", "name city major", "grade score credits"),
    ("product", "title brand shelf", "price stock weight"),
    ("worker", "name office team", "age salary hours"),
    ("film", "title director studio", "year rating length"),
    ("hotel", "name city owner", "rooms stars price"),
    ("book", "title author genre", "pages year copies"),
    ("river", "name country valley", "length depth width"),
    ("match", "host guest stadium", "goals fans year"),
    ("doctor", "name clinic field", "age patients salary"),
    ("train", "origin operator model", "speed seats price"),
)
_WORDS = words(
    "North South East West Alpha Beta Gamma Delta Red Blue Green Gold Oak Pine Rose Lake"
)
_COMPARISONS = (("above", ">"), ("below", "<"), ("equal to", "="))


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    text: tuple[str, str]
    number: tuple[str, str]
    columns: tuple[str, ...]

    @property
    def schema(self) -> str:
        return f"{self.name}({', '.join(self.columns)})"


def _table(random: Random, *besides: str) -> _Table:
    name, text, number = random.choice([row for row in TABLES if row[0] not in besides])
    first_text, second_text = random.sample(text.split(), 2)
    first_number, second_number = random.sample(number.split(), 2)
    columns = [first_text, second_text, first_number, second_number]
    random.shuffle(columns)
    return _Table(name, (first_text, second_text), (first_number, second_number), tuple(columns))


def _count(random: Random, table: _Table) -> Wording:
    return f"How many rows does {table.name} have?", f"SELECT COUNT(*) FROM {table.name};"


def _where(random: Random, table: _Table) -> Wording:
    word, sign = random.choice(_COMPARISONS)
    column, value = table.number[0], random.randint(1, 99)
    return (
        f"List the {table.text[0]} of each {table.name} with {column} {word} {value}.",
        f"SELECT {table.text[0]} FROM {table.name} WHERE {column} {sign} {value};",
    )


def _count_where(random: Random, table: _Table) -> Wording:
    word, sign = random.choice(_COMPARISONS)
    column, value = table.number[0], random.randint(1, 99)
    return (
        f"Count each {table.name} with {column} {word} {value}.",
        f"SELECT COUNT(*) FROM {table.name} WHERE {column} {sign} {value};",
    )


def _average_by(random: Random, table: _Table) -> Wording:
    group, column = table.text[0], table.number[0]
    return (
        f"What is the average {column} for each {group}?",
        f"SELECT {group}, AVG({column}) FROM {table.name} GROUP BY {group};",
    )


def _highest(random: Random, table: _Table) -> Wording:
    column = table.number[0]
    return (
        f"What is the {table.text[0]} of the {table.name} with the highest {column}?",
        f"SELECT {table.text[0]} FROM {table.name} ORDER BY {column} DESC LIMIT 1;",
    )


def _lowest(random: Random, table: _Table) -> Wording:
    column, count = table.number[0], random.randint(2, 9)
    return (
        f"Show the {table.text[0]} of the {count} rows of {table.name} with the lowest {column}.",
        f"SELECT {table.text[0]} FROM {table.name} ORDER BY {column} ASC LIMIT {count};",
    )


def _having(random: Random, table: _Table) -> Wording:
    group, count = table.text[0], random.randint(2, 9)
    return (
        f"Which {group} appears in more than {count} rows of {table.name}?",
        f"SELECT {group} FROM {table.name} GROUP BY {group} HAVING COUNT(*) > {count};",
    )


def _distinct(random: Random, table: _Table) -> Wording:
    column = table.text[0]
    return (
        f"List every different {column} of {table.name} in order.",
        f"SELECT DISTINCT {column} FROM {table.name} ORDER BY {column};",
    )


def _sum_of(random: Random, table: _Table) -> Wording:
    column, by, word = table.number[0], table.text[0], random.choice(_WORDS)
    return (
        f"What is the total {column} of each {table.name} whose {by} is {word}?",
        f"SELECT SUM({column}) FROM {table.name} WHERE {by} = '{word}';",
    )


def _both(random: Random, table: _Table) -> Wording:
    low, high = random.randint(1, 99), random.randint(1, 99)
    first, second = table.number
    return (
        f"List the {table.text[0]} of each {table.name} with {first} above {low} "
        f"and {second} below {high}.",
        f"SELECT {table.text[0]} FROM {table.name} WHERE {first} > {low} AND {second} < {high};",
    )


def _between(random: Random, table: _Table) -> Wording:
    low = random.randint(1, 60)
    high, column = low + random.randint(1, 39), table.number[0]
    return (
        f"List the {table.text[0]} and {table.text[1]} of each {table.name} "
        f"with {column} from {low} to {high}.",
        f"SELECT {table.text[0]}, {table.text[1]} FROM {table.name} "
        f"WHERE {column} BETWEEN {low} AND {high};",
    )


def _extremes(random: Random, table: _Table) -> Wording:
    column = table.number[0]
    return (
        f"What are the smallest and the largest {column} in {table.name}?",
        f"SELECT MIN({column}), MAX({column}) FROM {table.name};",
    )


def _single(draw: Callable[[Random, _Table], Wording]) -> Kind:
    def kind(random: Random) -> Wording:
        table = _table(random)
        question, query = draw(random, table)
        return f"Table {table.schema}. {question}", query

    return kind


def _join(random: Random) -> Wording:
    left = _table(random)
    right = _table(random, left.name)
    first, second = right.text[0], left.text[0]
    schemas = (
        f"Tables {left.name}(id, {', '.join(left.columns)}), "
        f"{right.name}({left.name}_id, {', '.join(right.columns)})."
    )
    return (
        f"{schemas} List the {first} of each {right.name} with the {second} of its {left.name}.",
        f"SELECT {right.name}.{first}, {left.name}.{second} FROM {right.name} "
        f"JOIN {left.name} ON {right.name}.{left.name}_id = {left.name}.id;",
    )


def kinds() -> Kinds:
    """Every kind of query by name."""
    single = {
        "count": _count,
        "where": _where,
        "count_where": _count_where,
        "average_by": _average_by,
        "highest": _highest,
        "lowest": _lowest,
        "having": _having,
        "distinct": _distinct,
        "sum_of": _sum_of,
        "both": _both,
        "between": _between,
        "extremes": _extremes,
    }
    return {name: _single(draw) for name, draw in single.items()} | {"join": _join}
