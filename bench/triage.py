"""Cost of a judged message, as a ratio to NFKC + casefold of the same posts, interleaved in one process.

Run: python -m bench.triage [ROUNDS]
"""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from statistics import median

from aggregator.triage.loader import load
from aggregator.triage.ruleset import Subject
from aggregator.triage.text import Folder
from bench.figures import Figure

RULES = Path(__file__).parents[1] / "rules"
COPIES = 40

# What a brand reads on a day: mostly chatter, some trouble, two languages, a repost chain, full width.
POSTS = (
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


def main(rounds: int = 30) -> None:
    cost = costs(rounds)
    print(f"NFKC + casefold   {cost['floor']:8.2f} µs a post")
    print(f"fold              {cost['fold']:8.2f} µs a post, {cost['fold'] / cost['floor']:.2f}x")
    print(f"judged, explained {cost['judge']:8.2f} µs a post, {cost['judge'] / cost['floor']:.2f}x")


def measure() -> list[Figure]:
    """What `python -m bench` shows of it."""
    cost = costs(30)
    return [
        Figure("folded, times NFKC + casefold", cost["fold"] / cost["floor"], "x"),
        Figure("judged with reasons, times NFKC + casefold", cost["judge"] / cost["floor"], "x"),
        Figure("judged with reasons", cost["judge"], "µs"),
    ]


def costs(rounds: int) -> dict[str, float]:
    """Microseconds a post, by what is done to it."""
    rules = load(RULES)
    posts = [f"{post}{number}" for number in range(COPIES) for post in POSTS]
    subjects = [Subject(post, platform="weibo") for post in posts]
    folder: Folder = rules.engine.folder

    def floor() -> None:
        for post in posts:
            unicodedata.normalize("NFKC", post).casefold()

    def fold() -> None:
        for post in posts:
            folder.fold(post)

    def judge() -> None:
        for subject in subjects:
            rules.judge(subject)

    works = {"floor": floor, "fold": fold, "judge": judge}
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 2):  # the first two warm up
        for name, work in works.items():
            times[name].append(_timed(work) / len(posts) * 1e6)
    mean = sum(map(len, posts)) / len(posts)
    print(f"{len(rules.rules)} rules, {len(posts)} posts of {mean:.0f} characters, {rounds} rounds")
    return {name: median(rows[2:]) for name, rows in times.items()}


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
