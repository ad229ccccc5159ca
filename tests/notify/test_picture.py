"""The picture of a digest: readable with any font, and never the reason why a digest isn't sent."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from balancebot.config import LANGUAGES
from balancebot.domain.balance import Absent, WalletName
from balancebot.i18n import Wording
from balancebot.notify.email import picture
from balancebot.notify.email.compose import html_page
from balancebot.notify.email.picture import MAX_ROWS, digest_picture
from balancebot.notify.render import Renderer
from tests.notify.examples import CRITICAL, DIGEST

CRITICAL_RED = (198, 40, 40)


def opened(png: bytes | None) -> Image.Image:
    assert png is not None
    return Image.open(io.BytesIO(png)).convert("RGB")


def has_colour(image: Image.Image, wanted: tuple[int, int, int]) -> bool:
    colours = image.getcolors(1 << 20) or []
    return any(all(abs(a - b) <= 12 for a, b in zip(colour, wanted, strict=True)) for _, colour in colours)  # type: ignore[arg-type]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_balance_with_a_number_has_a_row(language: str) -> None:
    rows = (*DIGEST.lines, replace(DIGEST.lines[0], reading=Absent.UNALLOCATED))
    image = opened(digest_picture(replace(DIGEST, lines=rows), Wording(language=language)))
    assert image.size == (960, 2 * (34 + 76 * len(DIGEST.lines) + 12))
    assert has_colour(image, CRITICAL_RED)


def test_only_the_first_rows_are_drawn() -> None:
    empty = replace(DIGEST.lines[0], recent=(None, None, 5), runway=None, wallet=WalletName("检" * 64))
    image = opened(digest_picture(replace(DIGEST, lines=(*DIGEST.lines, *(empty,) * 30)), Wording()))
    assert image.size == (960, 2 * (34 + 76 * MAX_ROWS + 12))


def test_without_a_chinese_font_everything_is_still_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_CHINESE_FONTS", ())
    picture._font.cache_clear()
    try:
        image = opened(digest_picture(DIGEST, Wording(language="zh-CN")))
    finally:
        picture._font.cache_clear()
    assert has_colour(image, CRITICAL_RED)


def test_a_digest_without_a_number_has_no_picture(renderer: Renderer) -> None:
    unread = replace(DIGEST, lines=(replace(DIGEST.lines[0], reading=Absent.UNREAD),))
    assert digest_picture(unread, Wording()) is None
    assert "<img" not in html_page(unread, renderer)


def test_a_digest_as_a_web_page_contains_its_picture(renderer: Renderer) -> None:
    assert 'src="data:image/png;base64,' in html_page(DIGEST, renderer)
    assert "<img" not in html_page(CRITICAL, renderer)
