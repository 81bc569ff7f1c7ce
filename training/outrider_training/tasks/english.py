"""English wording of the arithmetic stories."""

from outrider_training.tasks.arithmetic import Operation
from outrider_training.tasks.language import Language, Phrases
from outrider_training.tasks.task import words

_HAS = "{n} has {r} {item}."

ENGLISH = Language(
    names=words(
        "Anna Ben Carla David Elena Felix Grace Hugo Iris Jonas Kira Leo Mara Nils Olga Paul "
        "Rosa Sam Tina Umar Vera Will Yuri Zoe"
    ),
    items=words(
        "apples books buttons cards cookies eggs flowers marbles oranges pencils shells stamps "
        "stickers stones tickets balloons"
    ),
    steps={
        Operation.ADD: "{left} + {right} = {value}.",
        Operation.SUBTRACT: "{left} - {right} = {value}.",
        Operation.MULTIPLY: "{left} * {right} = {value}.",
        Operation.DIVIDE: "{left} / {right} = {value}.",
    },
    phrases={
        "buy": Phrases(
            (
                "{n} has {a} {item} and buys {b} more. How many {item} does {n} have?",
                "{n} had {a} {item}. {m} brings {b} more. How many {item} does {n} have?",
            ),
            _HAS,
        ),
        "give": Phrases(
            (
                "{n} has {a} {item} and gives {b} to {m}. How many {item} does {n} have left?",
                "Of {a} {item}, {n} loses {b}. How many {item} are left for {n}?",
            ),
            "{n} has {r} {item} left.",
        ),
        "bags": Phrases(
            (
                "{n} fills {a} bags with {b} {item} each. How many {item} are in the bags?",
                "There are {a} boxes on the table of {n}, each with {b} {item}. "
                "How many {item} are in the boxes?",
            ),
            "There are {r} {item}.",
        ),
        "share": Phrases(
            (
                "{n} shares {a} {item} equally among {b} friends. "
                "How many {item} does each friend get?",
                "{b} friends of {n} split {a} {item} evenly. How many {item} does each friend get?",
            ),
            "Each friend gets {r} {item}.",
        ),
        "buy_give": Phrases(
            (
                "{n} has {a} {item}, buys {b} more and gives {c} to {m}. "
                "How many {item} does {n} have now?",
                "{n} finds {a} {item} in the morning and {b} at noon, then loses {c}. "
                "How many {item} does {n} have now?",
            ),
            _HAS,
        ),
        "bags_loose": Phrases(
            (
                "{n} has {a} bags with {b} {item} each and {c} loose ones. "
                "How many {item} does {n} have?",
                "{n} owns {a} boxes of {b} {item} and gets {c} more from {m}. "
                "How many {item} does {n} have?",
            ),
            _HAS,
        ),
        "bags_give": Phrases(
            (
                "{n} has {a} bags with {b} {item} each and gives {c} {item} to {m}. "
                "How many {item} does {n} have left?",
                "{n} opens {a} boxes of {b} {item} and uses {c}. "
                "How many {item} does {n} have left?",
            ),
            "{n} has {r} {item} left.",
        ),
        "three_days": Phrases(
            (
                "{n} sells {a} {item} on Monday, {b} on Tuesday and {c} on Friday. "
                "How many {item} does {n} sell in all?",
                "On three days {n} sells {a}, {b} and {c} {item}. "
                "How many {item} does {n} sell in all?",
            ),
            "{n} sells {r} {item} in all.",
        ),
        "twice": Phrases(
            (
                "{n} has {a} {item} and {m} has twice as many. "
                "How many {item} do they have together?",
                "{m} has double the {a} {item} of {n}. How many {item} do they have together?",
            ),
            "Together they have {r} {item}.",
        ),
        "more_than": Phrases(
            (
                "{n} has {a} {item}. {m} has {b} more than {n}. "
                "How many {item} do they have together?",
                "{m} has {b} {item} more than {n}, who has {a}. "
                "How many {item} do they have together?",
            ),
            "Together they have {r} {item}.",
        ),
        "change": Phrases(
            (
                "{n} buys {a} {item} for {b} dollars each and pays with {c} dollars. "
                "How much change does {n} get?",
                "{item} cost {b} dollars each. {n} takes {a} and hands over {c} dollars. "
                "How much change does {n} get?",
            ),
            "{n} gets {r} dollars back.",
        ),
        "buy_share": Phrases(
            (
                "{n} has {a} {item}, buys {b} more and shares them equally among {c} friends. "
                "How many {item} does each friend get?",
                "{n} puts {a} {item} and {b} {item} together and splits them among {c} friends. "
                "How many {item} does each friend get?",
            ),
            "Each friend gets {r} {item}.",
        ),
        "bags_loose_give": Phrases(
            (
                "{n} has {a} bags with {b} {item} each and {c} loose ones, and gives {d} to {m}. "
                "How many {item} does {n} have left?",
                "{n} owns {a} boxes of {b} {item}, gets {c} more from {m} and uses {d}. "
                "How many {item} does {n} have left?",
            ),
            "{n} has {r} {item} left.",
        ),
    },
    sentence_gap=" ",
)
