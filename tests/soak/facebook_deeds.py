"""What happens on a Facebook Page on a random day: each deed with the truth that it leaves behind."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from aggregator.sandbox.base import Person, Truth
from aggregator.sandbox.facebook import FacebookStandin
from aggregator.sandbox.facebook_media import Media, Remark
from aggregator.sandbox.facebook_objects import Comment, Letter, Post, Who
from aggregator.sandbox.facebook_truth import comment_truth, letter_truth, post_truth, review_truth

FLOOD = Person(77, "由纪", "yuki")
NEWEST = 30  # a page has two thirds of a hundred, and there are more by the time it is read
WORDS = (
    "收到的货是坏的，要退款！",
    "Where is my parcel? 两周了",
    "客服电话打不通 😡",
    "Great service, 谢谢",
    "多少钱？",
)


class Deeds:
    """`told` and `nodes` by label; `did` counts; `lossy`: whether the webhook of what happens now may get lost.

    `fleeting`: withdrawn before it was seen; `seen` are the native ids in the store, and `compared` is what polling
    will compare its lists with.
    """

    def __init__(self, page: FacebookStandin, chance: random.Random) -> None:
        self.page = page
        self.chance = chance
        self.told: dict[str, Truth] = {}
        self.nodes: dict[str, Any] = {}
        self.did: Counter[str] = Counter()
        self.fleeting: set[str] = set()
        self.before: dict[str, set[str | None]] = {}  # by label: what it said before it was edited
        self.lossy = True
        self.seen: Collection[str] = ()
        self.compared = ""
        self.people = [Person(n, f"顾客{n}", f"c{n}") for n in range(1, 40)]

    def surely(self, happens: Callable[[], Any]) -> None:
        """With a webhook that comes, however late."""
        before, self.lossy = self.lossy, False
        happens()
        self.lossy = before

    def live(self, *kinds: type) -> list[Any]:
        return [one for one in self.nodes.values() if isinstance(one, kinds) and not one.deleted]

    def words(self) -> str:
        return f"{self.chance.choice(WORDS)} {len(self.told)}.{self.chance.randrange(1000)}"

    def _add(self, node: Any, truth: Callable[[str], Truth]) -> str:
        label = f"f-{len(self.told)}"
        self.told[label] = truth(label)
        self.nodes[label] = node
        return label

    # --- what is said ---------------------------------------------------------------------------------

    def comment(self, post: Post, at: datetime) -> None:
        page, chance = self.page, self.chance
        under = [one for one in self.live(Comment) if one.post is post]
        parent = chance.choice(under[-5:]) if under and chance.random() < 0.25 else None
        attachment = chance.choice((None,) * 6 + ("image", "video", "sticker", "link"))
        made = page.comment(
            page.person(chance.choice(self.people)),
            None if attachment and chance.random() < 0.3 else self.words(),
            at,
            post=post,
            parent=parent,
            attachment=attachment,
            anonymous=chance.random() < 0.05,
        )
        self._add(made, lambda label: _of_nobody(comment_truth(label, made, page.page), made))

    def letter(self, at: datetime, *, who: Person | None = None, instagram: bool = False) -> str:
        person = self.page.correspondent(who or self.chance.choice(self.people))
        if instagram:
            person = Who(f"9{person.id}", person.name)
        made = self.page.letter(person, self.words(), at, instagram=instagram)
        return self._add(made, lambda label: self._letter_truth(label, made))

    def remark(self, media: Media, at: datetime) -> None:
        """On Instagram, under a media or as an answer to somebody there."""
        n = self.chance.choice(self.people).number
        under = [one for one in self.live(Remark) if one.media is media]
        over = self.chance.choice(under) if under and self.chance.random() < 0.4 else media
        made = self.page.gram.remark(Who(f"61{n}", f"c{n}"), self.words(), at, under=over)
        self._add(made, lambda label: self._remark_truth(label, made))

    def visitor(self, at: datetime) -> None:
        page, chance = self.page, self.chance
        tags = chance.random() < 0.3
        made = page.post(
            page.person(chance.choice(self.people)),
            f"@{page.page.name} {self.words()}" if tags else self.words(),
            at,
            tags_page=tags,
            attachment=chance.choice((None, None, "image", "link")),
        )
        self._add(made, lambda label: post_truth(label, made, page.page, exported=True))

    def review(self, at: datetime) -> None:
        made = self.page.review(self.page.person(self.chance.choice(self.people)), self.words(), at)
        self._add(made, lambda label: review_truth(label, made))

    def answer(self, at: datetime) -> None:
        """Typed in Meta's own inbox, or in some other app."""
        page = self.page
        us = (page.page.id, page.instagram.id)
        asked = [one for one in self.live(Comment, Letter, Remark) if one.author.id not in us]
        asked = [one for one in asked if one.author.name != FLOOD.name]  # it would push one out
        if not asked:
            return
        to = self.chance.choice(asked[-15:])
        made: Any
        if isinstance(to, Comment):
            made = page.comment(page.page, "您好，已经私信您", at, post=to.post, parent=to)
            self._add(made, lambda label: _of_nobody(comment_truth(label, made, page.page), to))
        elif isinstance(to, Remark):
            made = page.gram.remark(page.instagram, "请看私信", at, under=to)
            self._add(made, lambda label: self._remark_truth(label, made))
        else:
            app = self.chance.choice((None, page.gate.app_id))
            made = page.letter(
                to.thread.customer,
                "正在为您查询",
                at,
                from_page=True,
                app_id=app,
                metadata="k-1" if app else None,
                instagram=to.thread.us is not None,
            )
            self._add(made, lambda label: self._letter_truth(label, made))

    def _letter_truth(self, label: str, letter: Letter) -> Truth:
        us = letter.thread.us
        truth = letter_truth(label, letter, us or self.page.page)
        return replace(truth, platform="instagram") if us else truth

    def _remark_truth(self, label: str, remark: Remark) -> Truth:
        media, ours = remark.media, remark.author is self.page.instagram
        over = remark.parent or media
        person = remark.parent.author if ours and remark.parent else remark.author
        return Truth(
            label=label,
            platform="instagram",
            kind="comment",
            direction="outbound" if ours else "inbound",
            native_id=remark.id,
            author={"native_id": remark.author.id, "name": None, "handle": remark.author.name},
            text=remark.text,
            url=media.url,
            sent_at=remark.at,
            reply_to=over.id,
            conversation=f"p:{media.id}:{person.id}",
            root=media.id,
        )

    # --- what becomes of it -----------------------------------------------------------------------------

    def change(self, at: datetime) -> None:
        """An edit, a deletion, a hiding or its end, of something that was there for a while."""
        label = self.chance.choice(list(self.told))
        truth, node = self.told[label], self.nodes[label]
        known = self._compared(label)
        muted = self.page.hooks.muted
        if at - truth.sent_at < timedelta(minutes=2) or node.deleted:
            return
        if isinstance(node, Letter):
            if not muted and node.thread.us is None:
                self.surely(lambda: self._change_letter(label, node, at))
        elif isinstance(node, Remark):
            if known:
                self._change_remark(label, node)
        elif isinstance(node, Post | Comment) and known:
            self._change_public(label, node, at)
        elif isinstance(node, Post | Comment) and not muted:
            self.surely(lambda: self._change_public(label, node, at))

    def _compared(self, label: str) -> bool:
        """Whether polling would notice: it looks at the newest of each list, and so do we."""
        node = self.nodes[label]
        if isinstance(node, Comment):
            newest = [one for one in self.live(Comment) if one.post is node.post]
            newest = sorted(newest, key=lambda one: one.at)[-NEWEST:]
            if all(one is not node for one in newest):
                return False
        return f'"{self.told[label].native_id}"' in self.compared

    def _change_letter(self, label: str, letter: Letter, at: datetime) -> None:
        truth = self.told[label]
        if self.chance.random() < 0.5 and letter.thread.letters[-1] is not letter:
            self._gone("unsent", [label])
            self.page.withdraw(letter, at)
        elif truth.edited_at is None:
            self.did["edit of a message"] += 1
            self.before.setdefault(label, set()).add(truth.text)
            self.page.change(letter, "改：" + self.words(), at)
            self.told[label] = replace(truth, text=letter.message, edited_at=at)

    def _change_remark(self, label: str, remark: Remark) -> None:
        """No webhook tells of it."""
        if self.chance.random() < 0.5:
            remark.hidden = not remark.hidden
            self.did["hidden on Instagram"] += 1
            self.told[label] = replace(self.told[label], deleted=remark.hidden)
            return
        below = [
            one
            for one, node in self.nodes.items()
            if isinstance(node, Remark) and node.parent is remark and not node.deleted
        ]
        if all(map(self._compared, below)):
            self._gone("deleted on Instagram", [label, *below])
            self.page.gram.withdraw(remark)

    def _change_public(self, label: str, node: Post | Comment, at: datetime) -> None:
        truth, luck = self.told[label], self.chance.random()
        if isinstance(node, Post) and node.tags_page:
            return  # on somebody's own wall: no webhook tells
        if isinstance(node, Comment) and (node.hidden or luck < 0.25):
            hidden = not node.hidden
            self.did["hide" if hidden else "unhide"] += 1
            self.page.hide(node, at, hidden=hidden)
            self.told[label] = replace(truth, deleted=hidden)
        elif luck < 0.65:
            self.did["edit"] += 1
            self.before.setdefault(label, set()).add(truth.text)
            self.page.change(node, "改：" + self.words(), at)
            self.told[label] = replace(truth, text=node.message, edited_at=at)
        else:
            self._delete(label, node, at)

    def _delete(self, label: str, node: Post | Comment, at: datetime) -> None:
        """What stands under it goes along, and only lists show that."""
        below = [
            one
            for one, other in self.nodes.items()
            if isinstance(other, Comment) and not other.deleted and _stands_under(other, node)
        ]
        known = all(map(self._compared, below))
        if known and not (isinstance(node, Post) and below):
            self._gone("deletion", [label, *below])
            self.page.withdraw(node, at)

    def _gone(self, what: str, labels: list[str]) -> None:
        self.did[what] += 1
        for label in labels:
            self.told[label] = replace(self.told[label], deleted=True)
            if self.told[label].native_id not in self.seen:
                self.fleeting.add(label)


def _stands_under(comment: Comment, node: Post | Comment) -> bool:
    over = comment.parent
    while over is not None:
        if over is node:
            return True
        over = over.parent
    return comment.post is node


def _of_nobody(truth: Truth, of: Comment) -> Truth:
    """Who is not told has a conversation of every comment's own."""
    if not of.anonymous:
        return truth
    alone = replace(truth, conversation=f"nobody:{of.id}")
    if truth.native_id != of.id:
        return alone
    return replace(alone, author={"native_id": None, "name": None, "handle": None})
