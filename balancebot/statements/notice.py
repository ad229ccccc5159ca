"""The statement of a month as a message: one line per total; the workbook is attached to mails."""

from datetime import datetime

from balancebot.catalogue import number
from balancebot.domain.message import NoticeMessage
from balancebot.domain.sentence import Sentence, sentence
from balancebot.domain.statement import Statement, StatementRow

_MOST_LINES = 20


def statement_notice(statement: Statement, *, language: str, now: datetime) -> NoticeMessage:
    """Return the message about a statement: usage, purchases and closing, by account and category."""
    lines = [_line(row, statement) for row in statement.totals[:_MOST_LINES]]
    if len(statement.totals) > _MOST_LINES:
        lines.append(
            sentence("and %(count)s more: see the workbook", count=len(statement.totals) - _MOST_LINES)
        )
    if not statement.totals:
        lines.append(sentence("Nothing was read in this month."))
    lines.append(
        sentence(
            "How sure it is: %(hours)s hours without readings, over all balances; %(messages)s messages unexplained.",
            hours=number(sum(row.hours_missing for row in statement.rows)),
            messages=number(statement.doubtful),
        )
    )
    return NoticeMessage(
        at=now,
        title=sentence("SMS statement of %(month)s", month=statement.name),
        lines=tuple(lines),
        path=f"/statements?month={statement.name}",
        language=language,
        statement=statement,
    )


def _line(row: StatementRow, statement: Statement) -> Sentence:
    cost = row.cost(statement.prices)
    parts: dict[str, str | Sentence] = {
        "account": row.account,
        "category": Sentence(row.category.value),
        "used": number(row.flows.used),
        "bought": number(row.flows.bought),
        "closing": "–" if row.closing is None else number(row.closing),
    }
    if cost is None:
        return sentence(
            "%(account)s, %(category)s: %(used)s used, %(bought)s bought, %(closing)s left", **parts
        )
    return sentence(
        "%(account)s, %(category)s: %(used)s used (%(cost)s %(currency)s), %(bought)s bought, %(closing)s left",
        cost=f"{cost:,.2f}",
        currency=statement.currency,
        **parts,
    )
