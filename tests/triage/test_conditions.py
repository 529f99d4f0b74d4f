from __future__ import annotations

from tests.triage.making import when


def test_only_a_condition_that_asks_for_any_of_one_list_is_plain_whatever_masks_it() -> None:
    def plain(condition: str) -> bool:
        return when(condition).rules["the-rule"].condition.plain

    assert plain("{any: [退款, refund]}")
    assert plain("{any: [退款], mask: [退款政策], not: [已到账]}")
    for other in (
        "{any: [退款], negation: block}",
        "{any: [退款], part: all}",
        "{any: [退款], lang: [zh]}",
        "{any: [退款], sentiment: {lt: 0}}",
        "{any: [退款], exact: [IT]}",
        "{count: {of: [退款, 退钱]}}",
        "{all: [{any: [退款]}, {any: [还没]}]}",
        "{platform: [weibo]}",
    ):
        assert not plain(other), other
