"""Cost of a judged message, as a ratio to NFKC + casefold of the same posts, interleaved in one process.

Run: python -m bench.triage [ROUNDS]
"""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    hostile, what = worst(made, small, lexicon)
    rows = [
        Figure("NFKC + casefold, the floor", cost["plain"].floor, "µs"),
        Figure("folded, times the floor", cost["fold"].times, "x"),
        Figure("judged by 10,000 keywords, times the floor", cost["plain"].times, "x", "≤ 2.5"),
        Figure("… with sentiment, times the floor", cost["moody"].times, "x", "≤ 10"),
        Figure("… one message at a time, times the floor", cost["single"].times, "x"),
        Figure("sentiment alone, messages a second", 1e6 / cost["feeling"].took, "", "≥ 40000"),
        Figure(
            "100,000 keywords, times 10,000", cost["many"].times / cost["plain"].times, "x", "≤ 3"
        ),
        Figure("load, lint and compile 10,000 keywords", loading({"r.yaml": small}), "s", "≤ 0.5"),
        Figure(
            "… with the shipped rules and their lexicon", loading({**shipped, "r.yaml": small}), "s"
        ),
        Figure("swap: what the next message waits longer", swap(plain, moody), "ms", "< 1"),
        Figure(f"the worst text found ({what})", hostile, "ms", "≤ 5"),
    ]
    rows.extend(
        Figure(f"{name}, times ours", took / cost[ours].took, "x")
        for name, ours, took in peers(subjects, small)
    )
    return rows


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of one core a post, and what the floor took in turn with it."""

    took: float
    floor: float

    @property
    def times(self) -> float:
        return self.took / self.floor


def costs(works: Mapping[str, Work], subjects: Sequence[Subject], rounds: int) -> dict[str, Cost]:
    """Each in turn with the floor, page by page, so that what slows the machine slows both.

    Not all in one turn: a daemon judges by one set of rules, and what others leave in the caches is not its own.
    """
    found = {}
    for name, work in works.items():
        took = floor = 0.0
        for at in range(0, len(subjects), PAGE):
            page = subjects[at : at + PAGE]
            times = [
                (timed(partial(_floor, page)), timed(partial(work, page)))
                for _ in range(rounds + 1)  # the first warms up
            ]
            floor += median([one for one, _ in times[1:]])
            took += median([one for _, one in times[1:]])
        found[name] = Cost(took / len(subjects) * 1e6, floor / len(subjects) * 1e6)
    return found


def _floor(page: Sequence[Subject]) -> object:
    return [unicodedata.normalize("NFKC", one.text or "").casefold() for one in page]


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
