"""Japanese wording of the arithmetic stories; the worked steps are sentences, not equations."""

from outrider_training.tasks.arithmetic import Operation
from outrider_training.tasks.language import Language, Phrases
from outrider_training.tasks.task import words

_HAS = "{n}は{item}を{r}個持っています。"
_LEFT = "{n}に残る{item}は{r}個です。"
_ALL = "{item}は全部で{r}個です。"
_EACH = "一人分の{item}は{r}個です。"
_TOGETHER = "二人の{item}は合わせて{r}個です。"

JAPANESE = Language(
    names=words(
        "はるか けんた さくら ゆうた みさき たける あおい りく ひなた そうた ゆい だいち "
        "まゆ しょう えみ なお"
    ),
    items=words(
        "りんご みかん たまご ボタン ビー玉 石 貝がら 消しゴム クッキー 風船 すず 箱 "
        "おにぎり 時計 帽子 花びん"
    ),
    steps={
        Operation.ADD: "{left}に{right}を足すと{value}です。",
        Operation.SUBTRACT: "{left}から{right}を引くと{value}です。",
        Operation.MULTIPLY: "{left}に{right}を掛けると{value}です。",
        Operation.DIVIDE: "{left}を{right}で割ると{value}です。",
    },
    phrases={
        "buy": Phrases(
            (
                "{n}は{item}を{a}個持っていて、さらに{b}個買いました。{item}を何個持っていますか。",
                "{n}は{item}を{a}個持っていて、{m}から{b}個もらいました。"
                "{item}を何個持っていますか。",
            ),
            _HAS,
        ),
        "give": Phrases(
            (
                "{n}は{item}を{a}個持っていて、{m}に{b}個あげました。{item}は何個残りますか。",
                "{n}は{a}個の{item}のうち{b}個をなくしました。{item}は何個残りますか。",
            ),
            _LEFT,
        ),
        "bags": Phrases(
            (
                "{n}は{a}個の袋に{item}を{b}個ずつ入れました。{item}は全部で何個ですか。",
                "{n}の机に箱が{a}箱あり、どの箱にも{item}が{b}個あります。"
                "{item}は全部で何個ですか。",
            ),
            _ALL,
        ),
        "share": Phrases(
            (
                "{n}は{item}{a}個を友だち{b}人に同じ数ずつ分けます。一人分の{item}は何個ですか。",
                "{n}の友だち{b}人が{item}{a}個を等しく分けます。一人分の{item}は何個ですか。",
            ),
            _EACH,
        ),
        "buy_give": Phrases(
            (
                "{n}は{item}を{a}個持っていて、{b}個買い、{m}に{c}個あげました。"
                "{item}は何個残りますか。",
                "{n}は朝に{item}を{a}個、昼に{b}個見つけ、{c}個なくしました。"
                "{item}は何個残りますか。",
            ),
            _LEFT,
        ),
        "bags_loose": Phrases(
            (
                "{n}には{item}が{b}個ずつ入った袋が{a}個と、ばらの{item}が{c}個あります。"
                "{item}を何個持っていますか。",
                "{n}は{item}が{b}個入った箱を{a}箱持っていて、{m}から{c}個もらいました。"
                "{item}を何個持っていますか。",
            ),
            _HAS,
        ),
        "bags_give": Phrases(
            (
                "{n}は{item}が{b}個ずつ入った袋を{a}個持っていて、{m}に{c}個あげました。"
                "{item}は何個残りますか。",
                "{n}は{item}が{b}個入った箱を{a}箱開けて、{c}個使いました。"
                "{item}は何個残りますか。",
            ),
            _LEFT,
        ),
        "three_days": Phrases(
            (
                "{n}は{item}を月曜日に{a}個、火曜日に{b}個、金曜日に{c}個売りました。"
                "{item}は全部で何個ですか。",
                "{n}は三日間で{item}を{a}個、{b}個、{c}個売りました。{item}は全部で何個ですか。",
            ),
            _ALL,
        ),
        "twice": Phrases(
            (
                "{n}は{item}を{a}個、{m}はその二倍持っています。{item}は合わせて何個ですか。",
                "{m}は{n}の{item}{a}個の二倍を持っています。{item}は合わせて何個ですか。",
            ),
            _TOGETHER,
        ),
        "more_than": Phrases(
            (
                "{n}は{item}を{a}個持っています。{m}は{n}より{b}個多いです。"
                "{item}は合わせて何個ですか。",
                "{m}の{item}は{a}個持つ{n}より{b}個多いです。{item}は合わせて何個ですか。",
            ),
            _TOGETHER,
        ),
        "change": Phrases(
            (
                "{n}は一つ{b}円の{item}を{a}個買い、{c}円払いました。おつりは何円ですか。",
                "{item}は一つ{b}円です。{n}は{a}個取り、{c}円出しました。おつりは何円ですか。",
            ),
            "{n}のおつりは{r}円です。",
        ),
        "buy_share": Phrases(
            (
                "{n}は{item}を{a}個持っていて、{b}個買い、友だち{c}人に同じ数ずつ分けます。"
                "一人分の{item}は何個ですか。",
                "{n}は{item}{a}個と{item}{b}個を合わせて友だち{c}人に分けます。"
                "一人分の{item}は何個ですか。",
            ),
            _EACH,
        ),
        "bags_loose_give": Phrases(
            (
                "{n}には{item}が{b}個ずつ入った袋が{a}個と、ばらの{item}が{c}個あり、"
                "{m}に{d}個あげました。{item}は何個残りますか。",
                "{n}は{item}が{b}個入った箱を{a}箱持っていて、{m}から{c}個もらい、"
                "{d}個使いました。{item}は何個残りますか。",
            ),
            _LEFT,
        ),
    },
    sentence_gap="",
)
