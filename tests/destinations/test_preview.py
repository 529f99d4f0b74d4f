"""The pictures in the documentation are what the program draws today."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from aggregator.destinations.preview import draw, main
from aggregator.destinations.render_slack import shown_in_slack
from tests.destinations.rooms import card, with_text

DOCS = Path(__file__).parents[2] / "docs"
NAMES = ["card.zh.svg", "card.en.svg", "terminal.zh.svg", "terminal.en.svg"]


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_up_to_date(name: str, tmp_path: Path) -> None:
    main(str(tmp_path))
    remedy = "python -m aggregator.destinations.preview docs/"
    assert (tmp_path / name).read_text("utf-8") == (DOCS / name).read_text("utf-8"), remedy


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_xml_and_loads_nothing_from_elsewhere(name: str) -> None:
    text = (DOCS / name).read_text("utf-8")
    ElementTree.fromstring(text)
    assert "url(" not in text and "href" not in text


def test_a_hostile_text_stays_text_in_a_picture() -> None:
    notice = with_text(card(), "<script>alert(1)</script> & ]]> 退款")
    picture = ElementTree.fromstring(draw(shown_in_slack(notice).blocks))
    assert "<script>alert(1)</script> & ]]> 退款" in "".join(picture.itertext())
