from __future__ import annotations

from pathlib import Path

from aggregator.triage.reload import Change, RuleBook
from aggregator.triage.ruleset import Ruleset
from tests.triage.making import judged

FIRE = "schema: 1\nrules:\n  - {id: fire-words, when: {any: [起火]}, then: {labels: [fire]}, tests: [{hit: 起火}]}\n"
MONEY = "schema: 1\nrules:\n  - {id: money-words, when: {any: [退款]}, then: {labels: [money]}, tests: [{hit: 退款}]}\n"
LISTS = "schema: 1\nlists: {money: [退款]}\n"
USES = "schema: 1\nrules:\n  - {id: money-words, when: {any: ['@money']}, then: {labels: [money]}, tests: [{hit: 退款}]}\n"
BAD = "schema: 1\nrules:\n  - {id: fire-words, wenn: {}}\n"
ROUTES = "schema: 1\nroutes: [{id: all-of-it, to: [social], targets: fast}]\ntests: [{message: {text: 起火}, expect: {route: all-of-it}}]\n"
TARGETS = "schema: 1\ntargets: {fast: {calendar: 24x7, first_response: {P1: 10m}}}\n"


def _write(folder: Path, **files: str | None) -> None:
    for name, text in files.items():
        path = folder / f"{name}.yaml"
        if text is None:
            path.unlink()
        else:
            path.write_text(text, encoding="utf-8")


def _look(book: RuleBook) -> list[Change]:
    """Two looks: the first sees that something changed, the second that it stays so."""
    return [*book.look(), *book.look()]


def _tags(book: RuleBook) -> tuple[str, ...]:
    return judged(book.current, "起火了，我要退款").tags


def test_nothing_changed_is_nothing_told(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE)
    book = RuleBook(tmp_path)
    current = book.current
    assert _look(book) == []
    assert book.current is current
    assert book.problems == ()


def test_a_changed_file_is_taken_at_the_next_look(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE)
    book = RuleBook(tmp_path)
    _write(tmp_path, fire=FIRE.replace("[fire]", "[safety]"), money=MONEY)
    assert _look(book) == [Change("fire.yaml", "loaded"), Change("money.yaml", "loaded")]
    assert _tags(book) == ("money", "safety")


def test_a_bad_file_keeps_its_last_good_version_while_the_others_go_on(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE)
    book = RuleBook(tmp_path)
    _write(tmp_path, fire=BAD, money=MONEY)
    changes = {one.file: one for one in _look(book)}
    assert changes["fire.yaml"].what == "refused"
    assert changes["money.yaml"].what == "loaded"
    assert _tags(book) == ("fire", "money")
    assert book.problems[0].startswith(f"{tmp_path}/fire.yaml:3:")
    assert "did you mean 'when'?" in "\n".join(book.problems)
    assert _look(book) == []


def test_a_mended_file_is_told_and_its_problem_is_gone(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE)
    book = RuleBook(tmp_path)
    _write(tmp_path, fire=BAD)
    _look(book)
    _write(tmp_path, fire=FIRE)
    assert _look(book) == [Change("fire.yaml", "loaded")]
    assert book.problems == ()


def test_an_example_that_fails_refuses_its_file(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE, money=MONEY)
    book = RuleBook(tmp_path)
    _write(tmp_path, fire=FIRE.replace("any: [起火]", "any: [着火]"))
    (change,) = _look(book)
    assert (change.file, change.what) == ("fire.yaml", "refused")
    assert _tags(book) == ("fire", "money")


def test_a_rule_id_taken_twice_rejects_the_newer_file(tmp_path: Path) -> None:
    _write(tmp_path, money=MONEY)
    book = RuleBook(tmp_path)
    _write(tmp_path, aaa=MONEY.replace("[money]", "[stolen]"))
    _look(book)
    assert _tags(book) == ("money",)
    assert "money-words" in "\n".join(book.problems)


def test_a_vanished_file_counts_at_the_second_look(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE, money=MONEY)
    book = RuleBook(tmp_path)
    _write(tmp_path, fire=None)
    assert book.look() == []
    assert _tags(book) == ("fire", "money")
    assert book.look() == [Change("fire.yaml", "removed")]
    assert _tags(book) == ("money",)


def test_a_file_that_comes_back_in_time_was_never_gone(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE, money=MONEY)
    book = RuleBook(tmp_path)
    _write(tmp_path, fire=None)
    assert book.look() == []
    _write(tmp_path, fire=FIRE)
    assert book.look() == []
    _write(tmp_path, fire=None)
    assert book.look() == []
    assert "fire" in _tags(book)


def test_a_half_written_file_is_neither_taken_nor_complained_of(tmp_path: Path) -> None:
    both = FIRE + MONEY.partition("rules:\n")[2]
    _write(tmp_path, fire=both)
    book = RuleBook(tmp_path)
    _write(tmp_path, fire=FIRE)  # cut where a rule ends: good YAML, and not what is meant
    assert book.look() == []
    _write(tmp_path, fire=both[:-10])
    assert book.look() == []
    assert book.problems == ()
    assert _tags(book) == ("fire", "money")
    _write(tmp_path, fire=both.replace("[money]", "[cash]"))
    _look(book)
    assert _tags(book) == ("cash", "fire")


def test_a_file_caught_empty_while_an_editor_saves_is_not_believed_at_once(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE)
    book = RuleBook(tmp_path)
    _write(tmp_path, fire="")
    assert book.look() == []
    assert _tags(book) == ("fire",)
    book.look()
    assert _tags(book) == ()


def test_a_folder_that_never_rests_is_taken_as_it_is_in_the_end(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE, money=MONEY)
    book = RuleBook(tmp_path)
    _write(tmp_path, fire=FIRE.replace("[fire]", "[safety]"))
    for number in range(6):
        _write(tmp_path, money=f"# {number}\n{MONEY}")
        book.look()
    assert _tags(book) == ("money", "safety")
    (tmp_path / "money.yaml").unlink()  # vanished just now: not even then believed at once
    book.look()
    assert _tags(book) == ("money", "safety")


def test_a_mounted_volume_that_is_swapped_by_a_symbolic_link_is_seen(tmp_path: Path) -> None:
    """As Kubernetes does it: the files are links through ..data, which is replaced in one step."""
    for version, text in (("..v1", FIRE), ("..v2", FIRE.replace("[fire]", "[safety]"))):
        (tmp_path / version).mkdir()
        _write(tmp_path / version, fire=text)
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "fire.yaml").symlink_to("..data/fire.yaml")
    book = RuleBook(tmp_path)
    assert _tags(book) == ("fire",)
    (tmp_path / "..next").symlink_to("..v2")
    (tmp_path / "..next").rename(tmp_path / "..data")
    _look(book)
    assert _tags(book) == ("safety",)


def test_a_folder_that_is_itself_a_link_may_point_elsewhere(tmp_path: Path) -> None:
    for version, text in (("one", FIRE), ("two", MONEY)):
        (tmp_path / version).mkdir()
        _write(tmp_path / version, rules=text)
    (tmp_path / "rules").symlink_to("one")
    book = RuleBook(tmp_path / "rules")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "rules")
    _look(book)
    assert _tags(book) == ("money",)


def test_a_folder_that_is_suddenly_empty_or_gone_keeps_the_rules(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    _write(folder, fire=FIRE)
    book = RuleBook(folder)
    _write(folder, fire=None)
    for _ in range(3):
        _look(book)
    assert _tags(book) == ("fire",)
    assert "no rule files" in book.problems[0]
    folder.rmdir()
    _look(book)
    _look(book)
    assert _tags(book) == ("fire",)
    assert "no such folder" in book.problems[0]
    folder.mkdir()
    _write(folder, fire=FIRE)
    _look(book)
    assert book.problems == ()


def test_taking_away_what_another_file_needs_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, lists=LISTS, uses=USES)
    book = RuleBook(tmp_path)
    _write(tmp_path, lists="schema: 1\nlists: {geld: [退款]}\n")
    (change,) = _look(book)
    assert (change.file, change.what) == ("lists.yaml", "refused")
    assert "no list money" in change.problems[0]
    assert _tags(book) == ("money",)


def test_two_files_that_change_together_are_taken_together(tmp_path: Path) -> None:
    _write(tmp_path, lists=LISTS, uses=USES)
    book = RuleBook(tmp_path)
    _write(tmp_path, lists=LISTS.replace("money", "geld"), uses=USES.replace("@money", "@geld"))
    assert [one.what for one in _look(book)] == ["loaded", "loaded"]
    assert _tags(book) == ("money",)


def test_a_bad_file_at_start_takes_its_last_good_text(tmp_path: Path) -> None:
    _write(tmp_path, fire=BAD, money=MONEY)
    book = RuleBook(tmp_path, last_good={"fire.yaml": FIRE, "money.yaml": MONEY})
    assert _tags(book) == ("fire", "money")
    assert "fire.yaml:3:" in book.problems[0]


def test_a_bad_file_at_start_with_no_good_text_is_left_out_and_reported(tmp_path: Path) -> None:
    _write(tmp_path, fire=BAD, money=MONEY)
    book = RuleBook(tmp_path)
    assert _tags(book) == ("money",)
    assert book.problems
    _write(tmp_path, fire=FIRE)
    assert _look(book) == [Change("fire.yaml", "loaded")]
    assert _tags(book) == ("fire", "money")


def test_a_bad_file_at_start_takes_no_other_file_with_it(tmp_path: Path) -> None:
    routes = ROUTES.replace("{route: all-of-it}", "{route: all-of-it, labels: [fire]}")
    _write(tmp_path, fire=BAD, money=MONEY, routes=routes, targets="targets: [")
    book = RuleBook(tmp_path, ("social", "desk"))
    assert _tags(book) == ("money",)
    (rule,) = book.current.routes
    assert (rule.route.to, rule.route.target) == (("social",), None)
    assert len(book.problems) >= 2


def test_a_destination_that_is_gone_costs_its_route_nothing_else(tmp_path: Path) -> None:
    _write(
        tmp_path, routes=ROUTES.replace("[social]", "[social, pager]"), targets=TARGETS, fire=FIRE
    )
    book = RuleBook(tmp_path, ("social",))
    (rule,) = book.current.routes
    assert rule.route.to == ("social",)
    assert "no destination pager" in book.problems[0]


def test_a_file_deleted_while_we_were_stopped_is_gone(tmp_path: Path) -> None:
    _write(tmp_path, money=MONEY)
    book = RuleBook(tmp_path, last_good={"fire.yaml": FIRE, "money.yaml": MONEY})
    assert _tags(book) == ("money",)


def test_last_good_texts_that_no_longer_load_do_no_harm(tmp_path: Path) -> None:
    _write(tmp_path, fire=BAD)
    book = RuleBook(tmp_path, last_good={"fire.yaml": "rules: ["})
    assert _tags(book) == ()
    assert book.problems


def test_not_even_rubbish_makes_a_look_raise(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE)
    book = RuleBook(tmp_path)
    (tmp_path / "routes.yaml").mkdir()
    (tmp_path / "dead.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "bytes.yaml").write_bytes(bytes(range(256)))
    (tmp_path / "deep.yaml").write_text("[" * 100_000)
    _look(book)
    assert _tags(book) == ("fire",)
    assert len(book.problems) == 2


# --- rules that wait for a person ---------------------------------------------------------------------------


class Gate:
    """A guard that holds until it is opened."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.open = False

    def __call__(self, old: Ruleset, new: Ruleset) -> str | None:
        self.asked.append((old.version, new.version))
        return None if self.open or old.version == new.version else "太多消息会变"


def test_changed_rules_wait_until_the_guard_lets_them_in(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE)
    gate = Gate()
    book = RuleBook(tmp_path, guard=gate)
    assert book.held is None
    _write(tmp_path, fire=FIRE.replace("[fire]", "[safety]"))
    assert _look(book) == []
    assert _tags(book) == ("fire",)
    assert book.held is not None
    assert (book.held.why, book.problems) == ("太多消息会变", ())
    gate.open = True
    assert book.look() == [Change("fire.yaml", "loaded")]
    assert (book.held, _tags(book)) == (None, ("safety",))


def test_a_change_that_is_taken_back_waits_no_longer(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE)
    book = RuleBook(tmp_path, guard=Gate())
    _write(tmp_path, fire=FIRE.replace("[fire]", "[safety]"))
    _look(book)
    _write(tmp_path, fire=FIRE)
    _look(book)
    assert (book.held, _tags(book)) == (None, ("fire",))


def test_a_bad_file_is_told_of_while_others_wait(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE, money=MONEY)
    book = RuleBook(tmp_path, guard=Gate())
    _write(tmp_path, fire=FIRE.replace("[fire]", "[safety]"), money=BAD)
    _look(book)
    assert book.held is not None
    assert "money.yaml" in book.wrong
    assert _tags(book) == ("fire", "money")


def test_a_restart_lets_nothing_past_the_guard(tmp_path: Path) -> None:
    _write(tmp_path, fire=FIRE.replace("[fire]", "[safety]"))
    book = RuleBook(tmp_path, last_good={"fire.yaml": FIRE}, guard=Gate())
    assert book.held is not None
    assert _tags(book) == ("fire",)
    first = RuleBook(
        tmp_path, guard=Gate()
    )  # nothing was ever in force: there is nothing to compare
    assert (first.held, _tags(first)) == (None, ("safety",))
    broken = RuleBook(tmp_path, last_good={"fire.yaml": BAD}, guard=Gate())
    assert (broken.held, _tags(broken)) == (None, ("safety",))
