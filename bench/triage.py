"""Cost of a judged message, as a ratio to NFKC + casefold of the same posts, interleaved in one process.

Run: python -m bench.triage [ROUNDS]
"""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median

from aggregator.triage.folding import Folded
from aggregator.triage.loader import examine, load_texts
from aggregator.triage.ruleset import Ruleset, Subject
from bench.figures import Figure, show
from bench.hostile import settle, worst
from bench.peers import peers
from bench.posts import RULES, corpus, rule_file

POSTS = 3_000
PAGE = 500  # posts that are judged in one go
TITLE = "Judge a message: 1,000 rules, posts of 74 characters, zh, en and both"

Work = Callable[[Sequence[Subject]], object]


def main(rounds: int = 15) -> None:
    show(TITLE, measure(rounds))


def measure(rounds: int = 15) -> list[Figure]:
    """What `python -m bench` shows of it."""
    made = corpus(POSTS)
    small, large = rule_file(made.words, 1_000, 10), rule_file(made.words, 1_000, 100)
    shipped = {
        one.relative_to(RULES).as_posix(): one.read_text("utf-8")
        for one in sorted(RULES.rglob("*.yaml"))
    }
    lexicon = {name: text for name, text in shipped.items() if name.startswith("sentiment/")}
    plain, moody = load_texts({"rules.yaml": small}), load_texts({"rules.yaml": small, **lexicon})
    feeling, many = load_texts(lexicon), load_texts({"rules.yaml": large})
    folder = plain.engine.folder
    works: dict[str, Work] = {
        "floor": lambda page: [
            unicodedata.normalize("NFKC", one.text or "").casefold() for one in page
        ],
        "fold": lambda page: Folded(folder, [one.text or "" for one in page]),
        "plain": plain.evaluate_many,
        "moody": moody.evaluate_many,
        "feeling": feeling.evaluate_many,
        "many": many.evaluate_many,
        "single": lambda page: [plain.judge(one) for one in page],
    }
    subjects = [Subject(one, platform="weibo") for one in made.posts]
    settle()
    cost = costs(works, subjects, rounds)
    floor = cost["floor"]
    hostile, what = worst(made, small, lexicon)
    rows = [
        Figure("NFKC + casefold, the floor", floor, "µs"),
        Figure("folded, times the floor", cost["fold"] / floor, "x"),
        Figure("judged by 10,000 keywords, times the floor", cost["plain"] / floor, "x", "≤ 2.5"),
        Figure("… with sentiment, times the floor", cost["moody"] / floor, "x", "≤ 10"),
        Figure("… one message at a time, times the floor", cost["single"] / floor, "x"),
        Figure("sentiment alone, messages a second", 1e6 / cost["feeling"], "", "≥ 40000"),
        Figure("100,000 keywords, times 10,000", cost["many"] / cost["plain"], "x", "≤ 3"),
        Figure("load, lint and compile 10,000 keywords", loading({"r.yaml": small}), "s", "≤ 0.5"),
        Figure(
            "… with the shipped rules and their lexicon", loading({**shipped, "r.yaml": small}), "s"
        ),
        Figure("swap: what the next message waits longer", swap(plain, moody), "ms", "< 1"),
        Figure(f"the worst text found ({what})", hostile, "ms", "≤ 5"),
    ]
    rows.extend(
        Figure(f"{name}, times ours", took / cost[ours], "x")
        for name, ours, took in peers(subjects, small)
    )
    return rows


def costs(works: Mapping[str, Work], subjects: Sequence[Subject], rounds: int) -> dict[str, float]:
    """Microseconds of one core a post. Page by page in turn, so that what slows the machine slows them all."""
    total = dict.fromkeys(works, 0.0)
    for at in range(0, len(subjects), PAGE):
        page = subjects[at : at + PAGE]
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds + 1):  # the first warms up
            for name, work in works.items():
                times[name].append(timed(partial(work, page)))
        for name, rows in times.items():
            total[name] += median(rows[1:])
    return {name: seconds / len(subjects) * 1e6 for name, seconds in total.items()}


def loading(files: Mapping[str, str]) -> float:
    """Seconds of one core."""
    written = {name: text.encode() for name, text in files.items()}
    return median(timed(lambda: examine(written)) for _ in range(5))


def swap(before: Ruleset, after: Ruleset) -> float:
    """Milliseconds that the first message after a swap waits longer than the same one later on.

    The median of many swaps: the slowest of them says how busy the machine is.
    """
    subject = Subject("你们的充电宝半夜冒烟，差点起火！！ still waiting")
    holder, waits = [before], []
    for _ in range(50):
        began = time.perf_counter()
        holder[0] = after
        holder[0].judge(subject)
        first = time.perf_counter() - began
        began = time.perf_counter()
        holder[0].judge(subject)
        waits.append(first - (time.perf_counter() - began))
        before, after = after, before
    return median(waits) * 1e3


def timed(work: Callable[[], object]) -> float:
    """Seconds of this thread on a core: others on the machine do not count."""
    started = time.thread_time()
    work()
    return time.thread_time() - started


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
