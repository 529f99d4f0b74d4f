from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.triage.folding import Folded
from aggregator.triage.text import BREAK, Folder, joins, language, split

FOLDER = Folder(["[怒]", "[泪]", "[笑cry]", "/::@", "/::D", "/::d"])
PLAIN = Folder()
MESSY = st.text(
    st.one_of(
        st.sampled_from(
            "退款錢髮後VIPvipａＢ１２３ ㎏ﬁ①ßİ　\n\t\u200b\u200d\ufe0f\u00ad👨👩❤🔥🏽😂！!。…’'[怒]/:@[泪笑cry哈o\U000f0001\ue000"
        ),
        st.characters(),
    ),
    max_size=40,
)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("申請退款5天了，錢還沒到", "申请退款5天了,钱还没到"),
        ("ＶＩＰ１２３", "vip123"),
        ("頭髮，皇后，以後", "头发,皇后,以后"),
        ("退\u200b款", "退款"),
        ("❤\ufe0f", "❤"),
        ("㎏ ﬁ ß", "kg fi ss"),
        ("退 款 了", "退款了"),
        ("VIP 退款 now", "vip退款now"),
        ("money \n\t back", "money back"),
        ("soooo 哈哈哈哈 ！！！！", "soo哈哈!!"),
        ("1000000", "1000000"),
        ("😂😂😂", "😂😂😂"),
        ("can’t", "can't"),
        ("a\u0336b", "ab"),
    ],
)
def test_a_text_folds_as_the_rules_say(text: str, folded: str) -> None:
    assert PLAIN.fold(text) == folded


def test_digits_are_never_squeezed_and_letters_are() -> None:
    assert PLAIN.fold("订单111222333，啊啊啊啊") == "订单111222333,啊啊"


def test_an_emoticon_of_the_table_is_one_sign_and_any_other_bracket_is_text() -> None:
    assert len(FOLDER.fold("[怒]")) == 1
    assert FOLDER.fold("[退款]") == "[退款]"
    assert FOLDER.name(FOLDER.fold("[怒]")) == "[怒]"
    assert "泪" not in FOLDER.fold("好难过[泪]")


def test_codes_of_wechat_are_told_apart_by_case_and_bracket_names_are_not() -> None:
    assert FOLDER.fold("/::D") != FOLDER.fold("/::d")
    assert FOLDER.fold("[笑CRY]") == FOLDER.fold("[笑cry]")
    assert FOLDER.fold("[淚]") == FOLDER.fold("[泪]")


def test_a_family_emoji_stays_whole_and_a_loose_joiner_goes() -> None:
    assert PLAIN.fold("👨\u200d👩\u200d👧") == "👨\u200d👩\u200d👧"
    assert PLAIN.fold("❤\ufe0f\u200d🔥") == "❤\u200d🔥"
    assert PLAIN.fold("a\u200db") == "ab"
    assert PLAIN.fold("👍🏽") == "👍"


def test_nobody_can_forge_an_emoticon_with_a_private_character() -> None:
    forged = FOLDER.fold("[怒]")
    assert FOLDER.fold(forged) != forged


def test_half_a_surrogate_pair_and_a_nul_do_no_harm() -> None:
    assert PLAIN.fold("退\ud83d款\x00") == "退\ufffd款"


@given(st.lists(MESSY, min_size=1, max_size=5))
def test_texts_folded_together_are_folded_as_each_alone(texts: list[str]) -> None:
    assert Folded(FOLDER, texts).text.split(BREAK)[1:-1] == [FOLDER.fold(one) for one in texts]


@given(st.lists(MESSY, min_size=1, max_size=5), st.data())
def test_the_offsets_lead_from_every_folded_character_to_its_original(
    texts: list[str], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(texts) - 1))
    text, folded = texts[number], Folded(FOLDER, texts)
    places = range(folded.bounds[number] + 1, folded.bounds[number + 1])
    starts = np.array(places, np.intp)
    first, last = folded.spans(np.full(len(starts), number), starts, starts + 1)
    spans = list(zip(first.tolist(), last.tolist(), strict=True))
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans)
    for at, (start, end) in zip(places, spans, strict=True):
        assert folded.text[at] in FOLDER.fold(text[start:end]) or folded.text[at] in " \u200d"
        assert folded.place(number, start) <= at


@given(MESSY)
def test_folding_twice_changes_nothing(text: str) -> None:
    once = PLAIN.fold(text)
    assert PLAIN.fold(once) == once


def test_no_simplified_form_in_the_table_is_folded_further() -> None:
    for point in range(0x4E00, 0xA000):
        folded = PLAIN.fold(chr(point))
        assert len(folded) == 1
        assert PLAIN.fold(folded) == folded


def test_every_common_traditional_character_of_taiwan_finds_a_mainland_form() -> None:
    # Those of the first level of Big5 that GB 2312 has not; the few left are the same in both.
    common = [bytes([high, low]) for high in range(0xA4, 0xC7) for low in range(0x40, 0xFF)]
    chars = [one.decode("big5", "ignore") for one in common]
    wanting = [
        char
        for char in chars
        if len(char) == 1 and not char.encode("gb2312", "ignore") and PLAIN.fold(char) == char
    ]
    assert len(wanting) < 130
    for (
        char
    ) in "萬與醜專業東絲兩嚴喪個豐臨為麗舉這還運過進遠邊選錢銀開關門問間電風飛飯館馬魚鳥點齊齒龍":
        assert PLAIN.fold(char) != char


def test_a_letter_or_digit_lengthens_a_word_and_a_han_character_does_not() -> None:
    assert all(joins(char) for char in "aé9яß")
    assert not any(joins(char) for char in "退款の한 -!@😂ไ")


@pytest.mark.parametrize(
    ("text", "own", "quoted"),
    [
        ("真的气 //@李四: 垃圾 // @王五 ：退款", "真的气 ", [" 垃圾 ", "退款"]),
        ("//@数码-控.阿杰：同款", "", ["同款"]),
        ("回复@客服小美: 我要退款", " 我要退款", []),
        ("回覆 @客服： 收到 //@a:回复@b:好", " 收到 ", ["好"]),
        ("看 http://t.cn/abc 和 https://x.com/@brand", None, []),
    ],
)
def test_a_repost_chain_is_other_peoples_words(
    text: str, own: str | None, quoted: list[str]
) -> None:
    (start, end), chain = split(text)
    assert text[start:end] == (text if own is None else own)
    assert [text[a:b] for a, b in chain] == quoted


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("申請退款5天了", "zh"),
        ("买了iPhone15ProMax", "zh"),
        ("where is my parcel?", "en"),
        ("I love 北京 so much", "en"),
        ("ok", "en"),
        ("@某某官方 hello there", "en"),
        ("こんにちは、元気ですか", None),
        ("Привет", None),
        ("😂😂 123", None),
        ("http://t.cn/abc", None),
        ("", None),
    ],
)
def test_the_language_goes_by_the_letters(text: str, lang: str | None) -> None:
    assert language(text) == lang


def test_every_letter_form_folds_like_its_plain_form() -> None:
    for plain, fancy in (("ref", "𝐫𝐞𝐟"), ("@", "＠"), ("秘", "㊙"), ("人", "⼈"), ("#", "＃")):
        assert PLAIN.fold(fancy) == plain
        assert unicodedata.normalize("NFKC", fancy).casefold() == plain
