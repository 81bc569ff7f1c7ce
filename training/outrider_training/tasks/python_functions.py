"""Small Python functions from a description that names everything the code will contain.

It does not run the functions; the tests do.
"""

from random import Random

from outrider_training.tasks.task import Kind, Kinds, Wording, words

_NUMBERS = (
    ("values", "value"),
    ("prices", "price"),
    ("scores", "score"),
    ("ages", "age"),
    ("weights", "weight"),
    ("lengths", "length"),
    ("points", "point"),
    ("counts", "count"),
)
_TEXTS = (
    ("words", "word"),
    ("names", "name"),
    ("lines", "line"),
    ("titles", "title"),
    ("labels", "label"),
    ("cities", "city"),
    ("colors", "color"),
    ("keys", "key"),
)
_VERBS = words("get find make build pick take read show list check calc work")
_ADJECTIVES = words("fast small main simple quick local first clean plain daily basic own")

# (description, parameters, body); the braces are many, one, c, d.
_NUMBER_KINDS = {
    "sum_above": (
        "returns the sum of each {one} in {many} that is greater than {c}",
        "    return sum({one} for {one} in {many} if {one} > {c})",
    ),
    "count_multiples": (
        "counts each {one} in {many} that is divisible by {c}",
        "    return sum(1 for {one} in {many} if {one} % {c} == 0)",
    ),
    "largest": (
        "returns the {c} largest {many}",
        "    return sorted({many}, reverse=True)[:{c}]",
    ),
    "mean": (
        "returns the average of {many}, or {c} if there are none",
        "    if not {many}:\n        return {c}\n    return sum({many}) / len({many})",
    ),
    "scale": (
        "returns {many} with each {one} multiplied by {c}",
        "    return [{one} * {c} for {one} in {many}]",
    ),
    "between": (
        "returns each {one} in {many} from {c} to {d}",
        "    return [{one} for {one} in {many} if {c} <= {one} <= {d}]",
    ),
    "running_total": (
        "returns the running totals of {many}, starting at {c}, with a loop over {one}",
        "    total = {c}\n    result = []\n    for {one} in {many}:\n        total += {one}\n"
        "        result.append(total)\n    return result",
    ),
    "first_above": (
        "returns the first {one} in {many} above {c}, or None, with a loop",
        "    for {one} in {many}:\n        if {one} > {c}:\n            return {one}\n"
        "    return None",
    ),
    "clip": (
        "returns {many} with each {one} limited to at most {c}",
        "    return [min({one}, {c}) for {one} in {many}]",
    ),
    "all_below": (
        "tells whether every {one} in {many} is below {c}",
        "    return all({one} < {c} for {one} in {many})",
    ),
    "spread": (
        "returns the largest minus the smallest of {many}, plus {c}",
        "    return max({many}) - min({many}) + {c}",
    ),
    "every_nth": (
        "returns every item of {many} whose index is divisible by {c}",
        "    return {many}[::{c}]",
    ),
}
_TEXT_KINDS = {
    "unique": (
        "returns {many} without duplicates, keeping the order, with a loop over {one}",
        "    result = []\n    for {one} in {many}:\n        if {one} not in result:\n"
        "            result.append({one})\n    return result",
    ),
    "tally": (
        "returns a dictionary that tells how often each {one} is in {many}",
        "    result = {{}}\n    for {one} in {many}:\n"
        "        result[{one}] = result.get({one}, 0) + 1\n    return result",
    ),
    "longer_than": (
        "returns each {one} in {many} longer than {c} characters",
        "    return [{one} for {one} in {many} if len({one}) > {c}]",
    ),
    "length_map": (
        "maps each {one} in {many} to its length",
        "    return {{{one}: len({one}) for {one} in {many}}}",
    ),
    "upper_sorted": (
        "returns {many} sorted, with each {one} in upper case",
        "    return sorted({one}.upper() for {one} in {many})",
    ),
    "shortest": (
        "returns the shortest of {many}",
        "    return min({many}, key=len)",
    ),
    "group_by_length": (
        "groups {many} in a dictionary by the length of each {one}",
        "    result = {{}}\n    for {one} in {many}:\n"
        "        result.setdefault(len({one}), []).append({one})\n    return result",
    ),
    "repeat": (
        "returns {many} with each {one} repeated {c} times",
        "    return [{one} * {c} for {one} in {many}]",
    ),
}


def _kind(names: tuple[tuple[str, str], ...], description: str, body: str) -> Kind:
    def draw(random: Random) -> Wording:
        many, one = random.choice(names)
        name = f"{random.choice(_VERBS)}_{random.choice(_ADJECTIVES)}_{many}"
        c = random.randint(2, 20)
        places = {"many": many, "one": one, "c": c, "d": c + random.randint(1, 70)}
        purpose = description.format_map(places)
        code = body.format_map(places)
        return f"Write a Python function {name}({many}) that {purpose}.", (
            f"def {name}({many}):\n{code}"
        )

    return draw


def kinds() -> Kinds:
    """Every kind of function by name, those over numbers first."""
    numbers = {name: _kind(_NUMBERS, *parts) for name, parts in _NUMBER_KINDS.items()}
    texts = {name: _kind(_TEXTS, *parts) for name, parts in _TEXT_KINDS.items()}
    return numbers | texts
