"""Draw a digest's picture: for each balance its history over the last days, and its runway with its range.

The order is the digest's. Text is drawn only with a font that has its characters. Without a Chinese font on the machine,
a row whose name needs one is labelled with its position in the table instead of empty boxes.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

from PIL import Image, ImageDraw, ImageFont

from balancebot.catalogue import without_middle
from balancebot.domain.message import DigestLine, DigestMessage
from balancebot.domain.runway import Runway, position_on_bar
from balancebot.domain.verdict import Severity
from balancebot.i18n import Wording

_Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Colour: TypeAlias = tuple[int, int, int]

MAX_ROWS: Final = 12
_SCALE: Final = 4
"""The picture is drawn four times as large as its layout and sent at twice the layout's size: smooth, and sharp on
high-resolution screens."""
_WIDTH: Final = 480
"""Narrow, so that its text is still readable if a phone makes it smaller."""
_MARGIN: Final = 12
"""On every side, because in dark mode the picture is a white card."""
_ROW: Final = 76
_HEAD: Final = 34
_LEFT: Final = (_MARGIN, 222)
_RIGHT: Final = (246, _WIDTH - _MARGIN)
_TICKS_DAYS: Final = (1, 7, 30)
_INK: Final = (31, 35, 40)
_FAINT: Final = (120, 126, 136)
_GRID: Final = (228, 231, 235)
_COLOURS: Final[dict[Severity, _Colour]] = {
    Severity.DEPLETED: (139, 0, 0),
    Severity.CRITICAL: (198, 40, 40),
    Severity.WARNING: (178, 106, 0),
    Severity.OK: (46, 125, 50),
    Severity.UNKNOWN: (97, 97, 97),
}
_CHINESE_FONTS: Final = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "msyh.ttc",
)


def digest_picture(digest: DigestMessage, words: Wording) -> bytes | None:
    """Return a PNG of the first balances that have a number, worst first; None if there are none."""
    rows = [(place, line) for place, line in enumerate(digest.lines, 1) if isinstance(line.reading, int)][
        :MAX_ROWS
    ]
    if not rows:
        return None
    size = (_WIDTH * _SCALE, (_HEAD + _ROW * len(rows) + _MARGIN) * _SCALE)
    image = Image.new("RGB", size, "white")
    pen = _PicturePen(draw=ImageDraw.Draw(image, "RGBA"), words=words)
    pen.axis()
    for index, (place, line) in enumerate(rows):
        pen.row(line, place=place, top=_HEAD + _ROW * index)
    return _png(image)


def _png(image: Image.Image) -> bytes:
    small = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    buffer = io.BytesIO()
    # A palette of 128 colours takes a third of the bytes, without a visible difference.
    small.quantize(128, method=Image.Quantize.MEDIANCUT).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class _PicturePen:
    """Draws in the pixels of the layout."""

    draw: ImageDraw.ImageDraw
    words: Wording

    def axis(self) -> None:
        """Label some steps of the runway's axis, which goes from an hour to a year; only the last one has its unit."""
        for days in _TICKS_DAYS:
            label = self.words.days(days) if days == _TICKS_DAYS[-1] else str(days)
            place = (_runway_x(days * 24), 11)
            self._text(place, label, size=14, colour=_FAINT, anchor="ma", or_else=f"{days} d")

    def row(self, line: DigestLine, *, place: int, top: int) -> None:
        """Draw one balance: its name and figures, its history, its runway."""
        colour = _COLOURS[line.severity]
        self._line([(_MARGIN, top), (_WIDTH - _MARGIN, top)], _GRID, 1)
        for days in _TICKS_DAYS:
            self._line([(_runway_x(days * 24), top + 36), (_runway_x(days * 24), top + _ROW)], _GRID, 1)
        name = f"{line.wallet} {self.words.category(line.category)}"
        figures = f"{self.words.cell(line.reading)}  {self.words.duration(line.runway.p50 if line.runway else None)}"
        self.draw.ellipse(_scaled((_MARGIN, top + 13, _MARGIN + 10, top + 23)), fill=colour)
        self._text(
            (_MARGIN + 17, top + 7),
            _fitting(name, size=17, width=_WIDTH - 2 * _MARGIN - 37 - _width(figures, size=17)),
            size=17,
            colour=_INK,
            or_else=f"#{place}",
        )
        self._text(
            (_WIDTH - _MARGIN, top + 7),
            figures,
            size=17,
            colour=colour,
            anchor="ra",
            or_else=_plain_figures(line),
        )
        self._history(line.recent, colour, top=top + 36, bottom=top + _ROW - 8)
        self._runway(line.runway, colour, middle=top + _ROW - 22)

    def _history(self, recent: Sequence[int | None], colour: _Colour, *, top: int, bottom: int) -> None:
        known = [value for value in recent if value is not None]
        if len(known) < 2:
            return
        highest = max(*known, 1)
        left, right = _LEFT
        step = (right - left) / (len(recent) - 1)
        points = [
            (left + step * index, bottom - (bottom - top) * value / highest)
            for index, value in enumerate(recent)
            if value is not None
        ]
        outline = [(points[0][0], bottom), *points, (points[-1][0], bottom)]
        self.draw.polygon([_at(point) for point in outline], fill=(*colour, 40))
        self._line(points, colour, 2)

    def _runway(self, runway: Runway | None, colour: _Colour, *, middle: int) -> None:
        if runway is None or runway.p50 <= 0:
            return
        low, high, centre = (_runway_x(hours) for hours in (runway.p10, runway.p90, runway.p50))
        self.draw.rounded_rectangle(
            _scaled((low, middle - 6, max(high, low + 2), middle + 6)), radius=6 * _SCALE, fill=(*colour, 70)
        )
        self.draw.ellipse(_scaled((centre - 7, middle - 7, centre + 7, middle + 7)), fill=colour)

    def _line(self, points: Sequence[tuple[float, float]], colour: _Colour, width: int) -> None:
        self.draw.line([_at(point) for point in points], fill=colour, width=width * _SCALE, joint="curve")

    def _text(
        self,
        place: tuple[float, float],
        text: str,
        *,
        size: int,
        colour: _Colour,
        or_else: str,
        anchor: str = "la",
    ) -> None:
        font, has_chinese = _font(size * _SCALE)
        shown = text if has_chinese or text.isascii() else or_else
        self.draw.text(_at(place), shown, font=font, fill=colour, anchor=anchor)


@cache
def _font(size: int) -> tuple[_Font, bool]:
    """Return the best font on this machine, and whether it has Chinese characters."""
    for name in _CHINESE_FONTS:
        try:
            return ImageFont.truetype(name, size), True
        except OSError:
            continue
    return ImageFont.load_default(size), False


def _runway_x(hours: float) -> float:
    left, right = _RIGHT
    return left + 8 + (right - left - 16) * position_on_bar(hours)


def _width(text: str, *, size: int) -> float:
    font, _ = _font(size * _SCALE)
    return font.getlength(text) / _SCALE


def _fitting(name: str, *, size: int, width: float) -> str:
    """Shorten a name in its middle until it fits."""
    for kept in range(len(name), 0, -1):
        shown = name if kept == len(name) else without_middle(name, kept=kept)
        if _width(shown, size=size) <= width:
            return shown
    return ""


def _plain_figures(line: DigestLine) -> str:
    """Return the figures in characters that every font has."""
    words = Wording()
    hours = line.runway.p50 if line.runway else None
    return f"{words.cell(line.reading)}  {words.duration(hours).replace('≈', '~')}"


def _at(point: tuple[float, float]) -> tuple[float, float]:
    return point[0] * _SCALE, point[1] * _SCALE


def _scaled(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return left * _SCALE, top * _SCALE, right * _SCALE, bottom * _SCALE
