"""Posts and rules for measuring the engine, made anew and the same on every run; all words are ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

RULES = Path(__file__).parents[1] / "rules"

# What a brand reads on a day: mostly chatter, some trouble, two languages, a repost chain, full width.
A_DAY = (
    "今天路过门店买了一杯新品，味道还可以，就是排队的人有点多，等了大概二十分钟才拿到手[允悲]",
    "你们的充电宝半夜冒烟，差点起火！！孩子就睡在旁边[怒][怒]",
    "申請退款七天了，錢還沒到，再不退我就打12315投訴！",
    "请问周末门店几点开门？开车过来方便停车吗，附近有没有停车场",
    "转发微博 //@数码控阿杰: 同款，我的也坏了 //@路人甲: 真的假的",
    "ＡＰＰ更新以後一直閃退，重裝了三次還是不行，麻煩儘快處理一下，謝謝",
    "昨天收到了，包装很好，颜色也正，家里人都说好看，以后还会再来的",
    "#周末好物# 分享一下最近买的几样小东西，都是日常用得上的，链接放在评论区",
    "Just picked up the new earbuds and honestly the sound is great for the price, battery lasts all day",
    "@brand still waiting for my refund, order 10442. Two weeks now. Not received a single reply.",
    "Does anybody know whether the store on 5th Avenue is open on public holidays? Thanks in advance",
    "my flight got moved again so I am sitting in the lounge listening to podcasts with these on",
    "Your app keeps crashing when I open the order page 😡😡 please fix this asap!!!",
    "👨‍👩‍👧 weekend trip with the family, packed light, everything fitted into one bag ✨",
    "客服态度很好，问题五分钟就解决了，给个好评/:strong",
    "刚看完发布会，感觉这一代改动不大，等等党又赢了哈哈哈哈哈哈哈",
)

_ALIVE = 0.03  # of the keywords are words that some post holds

_ZH = (
    "{who}说{thing}{how}，{end}",
    "今天在{place}买了{thing}，{how}{face}",
    "請問{place}的{thing}什麼時候有貨？{end}",
    "{thing}用了{n}天，{how}，{end}",
    "订单{n}还没发，{thing}{how}！！",
    "{place}的客服{how}，等了{n}分钟{face}",
    "刚看完{thing}的发布会，{how}，{end}",
    "＃{thing}＃{place}，{end}",
    "{who}推荐的{thing}到了，{how}～{face}",
    "有没有人和我一样觉得{thing}{how}？",
    "转发微博 //@{who}: {thing}{how}",
    "周末去{place}，{thing}{how}，{end}",
)
_EN = (
    "Picked up the {thing} at {place} today and it {how}, {end}",
    "@brand my {thing} order {n} {how}. {end}",
    "Does anybody at {place} know when the {thing} is back? {end}",
    "{n} days with the {thing} and it {how} {face}",
    "The people at {place} told me the {thing} {how}, {end}",
    "so the {thing} {how} again, {end} {face}",
    "Thinking of swapping my {thing} for another, this one {how}",
    "{who} says the {thing} {how} but I am not sure, {end}",
)
_ZH_WORDS = {
    "how": "还可以 有点慢 很好用 不太行 颜色偏深 比想象中小 味道淡 声音有点大 和图片一样 挺划算 一直没动静 总算正常了 续航一般 手感不错 又涨价了 有些发烫",
    "end": "先这样吧 希望早点解决 谢谢 下次再看看 大家怎么看 蹲一个回复 仅供参考 求推荐 不想多说 以后还会来 明天再试试 家里人都喜欢 就是排队的人多 给后来的人提个醒",
    "place": "徐家汇门店 网上商城 机场免税店 楼下便利店 旗舰店 三里屯 直播间 大学城 体验中心 地铁口 老城区 商场二楼",
    "who": "同事 我妈 隔壁小王 數碼阿傑 室友 闺蜜 邻居老李 表弟",
    "face": "[怒] [允悲] [doge] 😂 😡 👍 ✨ [哈哈] ❤️ 🙏  ",
}
_EN_WORDS = {
    "how": "is fine|keeps blinking|works great|is slower than before|never arrived|looks darker than the photo|got warm|lasts all day|came late|is a bit loud|fits well|was worth the wait",
    "end": "thanks|any ideas|will try again tomorrow|not in a hurry|just saying|anyone else|please advise|not holding my breath|back to work now|see you there|good to know|fingers crossed",
    "place": "the airport shop|5th Avenue|your website|the corner store|the mall|the flagship store|Camden|the night market",
    "who": "My sister|A colleague|The guy next door|Everyone here|My dad|Jo",
    "face": "😂|😡|👍|✨|🙏|🙄|:)||",
}
_MADE_OF = "云山竹石松泉月星海风雪花木鹤鹿麦禾舟灯窗琴棋墨砚茶瓷银铜锦绣霞露虹溪岚峰原野"
_DEAD = "匏罍簠簋盨甗鬲斝觚觥卣罇瓿缶盉匜镈铙柷敔埙篪籥瑟筑铎钲錞璋琮璜珩瑀琚玦珥璎珞"
_OPENING = (*"bcdfghklmnprstvwz", "br", "cr", "dr", "fl", "gl", "pl", "st", "tr")


@dataclass(frozen=True, slots=True)
class Corpus:
    """`posts` of about 74 characters, 45 % Chinese, 30 % English, 25 % both; `words` that stand in them."""

    posts: tuple[str, ...]
    words: tuple[str, ...]


def corpus(count: int) -> Corpus:
    random = Random(74)
    zh = ["".join(random.choices(_MADE_OF, k=random.choice((2, 2, 3)))) for _ in range(600)]
    en = [_syllables(random, random.choice((2, 3))) for _ in range(600)]
    posts = []
    for _ in range(count):
        kind = random.random()
        wanted = int(min(max(random.gauss(50, 30), 8), 220))
        text = ""
        while len(text) < wanted:
            chinese = kind < 0.45 or (kind >= 0.75 and random.random() < 0.5)
            text += _sentence(random, zh, _ZH, _ZH_WORDS, " ") if chinese else ""
            text += "" if chinese else _sentence(random, en, _EN, _EN_WORDS, "|") + " "
        posts.append(text.rstrip())
    words = [*zh, *en, *(one for row in _ZH_WORDS.values() for one in row.split(" ")[:3])]
    return Corpus(tuple(posts), tuple(dict.fromkeys(filter(None, words))))


def rule_file(words: Sequence[str], rules: int, each: int) -> str:
    """`rules` rules of `each` different keywords, 30 % English; most plain, some with all the rest."""
    random = Random(rules * 1_000 + each)
    seen: set[str] = set()
    alive = list(words)
    random.shuffle(alive)
    rows = []
    for number in range(rules):
        keywords = [_keyword(random, alive, seen) for _ in range(each)]
        half = each // 2
        kind = number % 20
        when: dict[str, object] = {"any": keywords}
        if kind in (1, 2):
            when = {"all": [{"any": keywords[:half]}, {"any": keywords[half:]}], "within": 30}
        elif kind == 3:
            when = {"any": keywords[half:], "mask": keywords[:half]}
        elif kind == 4:
            when = {"any": keywords[half:], "not": keywords[:half]}
        elif kind == 5:
            when = {"any": keywords, "negation": "block"}
        elif kind == 6:
            when = {"count": {"of": keywords, "min": 2}}
        then = {"urgency": number % 4, "importance": number % 3, "labels": [f"topic-{number % 50}"]}
        rows.append(
            {
                "id": f"rule-{number:05}",
                "title": f"规则{number} / rule {number}",
                "when": when,
                "then": then,
            }
        )
    lines = ["schema: 1", "rules:", *("  - " + json.dumps(row, ensure_ascii=False) for row in rows)]
    return "\n".join(lines) + "\n"


def _sentence(
    random: Random, things: Sequence[str], frames: Sequence[str], words: dict[str, str], by: str
) -> str:
    filled = {name: random.choice(row.split(by)) for name, row in words.items()}
    return random.choice(frames).format(
        thing=random.choice(things), n=random.randrange(2, 9_000), **filled
    )


def _keyword(random: Random, alive: list[str], seen: set[str]) -> str:
    while True:
        draw = random.random()
        if draw < _ALIVE:
            word = alive.pop() if alive else f"{random.choice(_MADE_OF)}{_dead(random)}"
        elif draw < 0.3:
            word = " ".join(_syllables(random, 4) for _ in range(random.choice((1, 1, 2))))
        else:
            word = _dead(random)
        if word not in seen:
            seen.add(word)
            return word


def _dead(random: Random) -> str:
    """Begins as words of the posts do, and no post holds it: the automaton has to walk into it."""
    return random.choice(_MADE_OF) + "".join(random.choices(_DEAD, k=random.randrange(1, 6)))


def _syllables(random: Random, count: int) -> str:
    return "".join(random.choice(_OPENING) + random.choice("aeiou") for _ in range(count)) + "x"
