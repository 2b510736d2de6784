"""Numbers, amounts and times as a language writes them; times are those of Brasília."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from shared.desk.charts import LOCAL
from shared.desk.health import Unit
from shared.desk.reasons import Shown
from shared.desk.records import moment
from shared.desk.web.texts import PORTUGUESE
from shared.scoring.reason_words import reason_words

_SWAPPED = str.maketrans(",.", ".,")


class Formats:
    """The formats of one language."""

    def __init__(self, language: str, words: Mapping[str, str]) -> None:
        self._language, self._words = language, words

    def number(self, value: float, digits: int = 0) -> str:
        """Return a number.

        >>> Formats("pt", {}).number(1234.5, 1), Formats("en", {}).number(1234.5, 1), Formats("en", {}).number(-0.2)
        ('1.234,5', '1,234.5', '0')
        """
        text = f"{value:z,.{digits}f}"
        return text.translate(_SWAPPED) if self._language == PORTUGUESE else text

    def counted(self, count: int, key: str) -> str:
        """Return a number of things with its word, whose key ends in `.one` for one of them.

        >>> Formats("en", {"case": "cases", "case.one": "case"}).counted(1, "case")
        '1 case'
        """
        return f"{self.number(count)} {self._words[f'{key}.one' if count == 1 else key]}"

    def brl(self, centavos: float | None) -> str:
        """Return an amount.

        >>> Formats("pt", {}).brl(123456)
        'R$\\xa01.234,56'
        """
        return self._words["none"] if centavos is None else self._reais(centavos / 100, 2)

    def _reais(self, value: float, digits: int = 0) -> str:
        sign = "-" if round(value, digits) < 0 else ""
        return f"{sign}R$\u00a0{self.number(abs(value), digits)}"

    def measured(self, value: float, unit: Unit) -> str:
        """Return the value of a measure of health in its unit.

        >>> Formats("en", {}).measured(0.125, "share"), Formats("en", {}).measured(-1234.6, "brl")
        ('12.5\xa0%', '-R$\xa01,235')
        """
        if unit == "share":
            return self.share(value)
        if unit == "brl":
            return self._reais(value)
        if unit == "index":
            return self.number(value, 3)
        if unit == "ms":
            return f"{self.number(value)}\u00a0ms" if value < 10_000 else f"{self.number(value / 1000)}\u00a0s"
        return self.number(value, 0 if value >= 100 or float(value).is_integer() else 1)

    def moment(self, micros: int) -> str:
        """Return a time of day with its date, from microseconds since the epoch."""
        return self.when(moment(micros))

    def share(self, value: float | None) -> str:
        """Return a share as a percentage."""
        return self._words["none"] if value is None else f"{self.number(100 * value, 1)}\u00a0%"

    def when(self, at: dt.datetime | None) -> str:
        """Return a time of day with its date."""
        if at is None:
            return self._words["none"]
        local = at.astimezone(LOCAL)
        return f"{local:%d/%m/%Y %H:%M}" if self._language == PORTUGUESE else f"{local:%d %b %Y %H:%M}"

    def day(self, date: dt.date | None) -> str:
        """Return a date."""
        if date is None:
            return self._words["none"]
        return f"{date:%d/%m/%Y}" if self._language == PORTUGUESE else f"{date:%d %b %Y}"

    def axis(self, label: str | dt.date) -> str:
        """Return a label of an axis, a day without its year.

        >>> Formats("pt", {}).axis(dt.date(2026, 11, 2)), Formats("en", {}).axis(dt.date(2026, 11, 2))
        ('02/11', '02 Nov')
        """
        if isinstance(label, str):
            return label
        return f"{label:%d/%m}" if self._language == PORTUGUESE else f"{label:%d %b}"

    def span(self, seconds: float | None) -> str:
        """Return a length of time, in hours and minutes, or in minutes and seconds.

        >>> Formats("pt", {}).span(3725), Formats("pt", {}).span(95)
        ('1 h 02 min', '1 min 35 s')
        """
        if seconds is None:
            return self._words["none"]
        minutes, rest = divmod(int(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"

    def evidence(self, shown: Shown) -> str:
        """Return the value of a number behind a reason, in its unit.

        >>> from shared.scoring.reason_words import Words
        >>> Formats("pt", {}).evidence(Shown(Words(pt="", en=""), "d", 1.0))
        '1 dia'
        """
        if shown.value is None:
            return self._words["none"]
        if shown.unit == "flag":
            return self._words["yes" if shown.value else "no"]
        if shown.unit == "BRL":
            return self.brl(100 * shown.value)
        unit = reason_words().units.get(shown.unit)
        text = self.number(shown.value, 0 if float(shown.value).is_integer() else 1)
        return text if unit is None else f"{text} {unit.of(shown.value, self._language)}"

    def flag(self, value: bool | None) -> str:
        """Return yes or no."""
        return self._words["none"] if value is None else self._words["yes" if value else "no"]
