"""Vietnamese wording of the arithmetic stories; the worked steps are sentences, not equations."""

from outrider_training.tasks.arithmetic import Operation
from outrider_training.tasks.language import Language, Phrases
from outrider_training.tasks.task import words

_HAS = "Vậy {n} có {r} {item}."
_LEFT = "Vậy {n} còn {r} {item}."
_EACH = "Vậy mỗi bạn được {r} {item}."
_TOGETHER = "Vậy cả hai có {r} {item}."

VIETNAMESE = Language(
    names=words("An Bình Chi Dũng Hà Hải Hoa Hùng Lan Linh Mai Minh Nam Phúc Quân Thảo"),
    items=(
        "quả táo",
        "quả cam",
        "quả trứng",
        "quả bóng",
        "viên bi",
        "viên kẹo",
        "cái bánh",
        "cái bút",
        "cái cúc",
        "con tem",
        "tấm thẻ",
        "tấm vé",
        "hòn đá",
        "vỏ sò",
        "bông hoa",
        "quyển sách",
    ),
    steps={
        Operation.ADD: "Lấy {left} cộng {right} được {value}.",
        Operation.SUBTRACT: "Lấy {left} trừ {right} còn {value}.",
        Operation.MULTIPLY: "Lấy {left} nhân {right} được {value}.",
        Operation.DIVIDE: "Lấy {left} chia {right} được {value}.",
    },
    phrases={
        "buy": Phrases(
            (
                "{n} có {a} {item} và mua thêm {b}. Hỏi {n} có bao nhiêu {item}?",
                "{n} có {a} {item}, {m} cho thêm {b}. Hỏi {n} có bao nhiêu {item}?",
            ),
            _HAS,
        ),
        "give": Phrases(
            (
                "{n} có {a} {item} và cho {m} {b}. Hỏi {n} còn bao nhiêu {item}?",
                "Trong {a} {item}, {n} làm mất {b}. Hỏi {n} còn bao nhiêu {item}?",
            ),
            _LEFT,
        ),
        "bags": Phrases(
            (
                "{n} có {a} túi, mỗi túi có {b} {item}. Hỏi tất cả có bao nhiêu {item}?",
                "Trên bàn của {n} có {a} hộp, mỗi hộp {b} {item}. Hỏi tất cả có bao nhiêu {item}?",
            ),
            "Vậy tất cả có {r} {item}.",
        ),
        "share": Phrases(
            (
                "{n} chia đều {a} {item} cho {b} bạn. Hỏi mỗi bạn được bao nhiêu {item}?",
                "{b} bạn của {n} chia đều nhau {a} {item}. Hỏi mỗi bạn được bao nhiêu {item}?",
            ),
            _EACH,
        ),
        "buy_give": Phrases(
            (
                "{n} có {a} {item}, mua thêm {b} rồi cho {m} {c}. Hỏi {n} còn bao nhiêu {item}?",
                "Buổi sáng {n} tìm được {a} {item}, buổi trưa {b}, rồi làm mất {c}. "
                "Hỏi {n} còn bao nhiêu {item}?",
            ),
            _LEFT,
        ),
        "bags_loose": Phrases(
            (
                "{n} có {a} túi, mỗi túi {b} {item}, và {c} {item} để ngoài. "
                "Hỏi {n} có bao nhiêu {item}?",
                "{n} có {a} hộp, mỗi hộp {b} {item}, {m} cho thêm {c}. "
                "Hỏi {n} có bao nhiêu {item}?",
            ),
            _HAS,
        ),
        "bags_give": Phrases(
            (
                "{n} có {a} túi, mỗi túi {b} {item}, và cho {m} {c}. Hỏi {n} còn bao nhiêu {item}?",
                "{n} mở {a} hộp, mỗi hộp {b} {item}, và dùng {c}. Hỏi {n} còn bao nhiêu {item}?",
            ),
            _LEFT,
        ),
        "three_days": Phrases(
            (
                "{n} bán {a} {item} ngày thứ hai, {b} ngày thứ ba và {c} ngày thứ sáu. "
                "Hỏi {n} bán được bao nhiêu {item}?",
                "Trong ba ngày {n} bán {a}, {b} và {c} {item}. Hỏi {n} bán được bao nhiêu {item}?",
            ),
            "Vậy {n} bán được {r} {item}.",
        ),
        "twice": Phrases(
            (
                "{n} có {a} {item}, {m} có gấp đôi. Hỏi cả hai có bao nhiêu {item}?",
                "{m} có số {item} gấp đôi {n}, {n} có {a}. Hỏi cả hai có bao nhiêu {item}?",
            ),
            _TOGETHER,
        ),
        "more_than": Phrases(
            (
                "{n} có {a} {item}. {m} có nhiều hơn {n} {b}. Hỏi cả hai có bao nhiêu {item}?",
                "{m} có hơn {n} {b} {item}, {n} có {a}. Hỏi cả hai có bao nhiêu {item}?",
            ),
            _TOGETHER,
        ),
        "change": Phrases(
            (
                "{n} mua {a} {item}, mỗi thứ giá {b} đồng, và đưa {c} đồng. "
                "Hỏi {n} được trả lại bao nhiêu đồng?",
                "Giá mỗi {item} là {b} đồng. {n} lấy {a} và trả {c} đồng. "
                "Hỏi {n} được trả lại bao nhiêu đồng?",
            ),
            "Vậy {n} được trả lại {r} đồng.",
        ),
        "buy_share": Phrases(
            (
                "{n} có {a} {item}, mua thêm {b} rồi chia đều cho {c} bạn. "
                "Hỏi mỗi bạn được bao nhiêu {item}?",
                "{n} gộp {a} {item} với {b} {item} rồi chia đều cho {c} bạn. "
                "Hỏi mỗi bạn được bao nhiêu {item}?",
            ),
            _EACH,
        ),
        "bags_loose_give": Phrases(
            (
                "{n} có {a} túi, mỗi túi {b} {item}, và {c} {item} để ngoài, rồi cho {m} {d}. "
                "Hỏi {n} còn bao nhiêu {item}?",
                "{n} có {a} hộp, mỗi hộp {b} {item}, {m} cho thêm {c}, rồi {n} dùng {d}. "
                "Hỏi {n} còn bao nhiêu {item}?",
            ),
            _LEFT,
        ),
    },
    sentence_gap=" ",
)
