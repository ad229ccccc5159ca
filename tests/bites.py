"""Words that are harmless where they are written and bite where they are shown."""

from sqlalchemy import Connection, update

from balancebot.domain.sentence import verbatim
from balancebot.ports import SourceErrorKind
from balancebot.store.tables import alerts, audit, deliveries, orders, plans, silences, thresholds, wallets

UNSEEN = (
    *map(chr, (*range(9), *range(11, 32))),
    *map(chr, range(127, 160)),
    *"\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff",
    *map(chr, range(0xD800, 0xD900)),
)
"""Characters that no terminal, database, protocol or reader should get: controls, bidirectional marks, surrogates."""

BITES = {
    "mention": "<!channel> <@U024BE7LH> @all @everyone",
    "markdown": "*bold* _x_ `code` [click](https://evil.example) ![x](https://evil.example/x.png) > # -",
    "slack link": "<https://evil.example|click> & &amp;",
    "markup": "</td></script><script>alert(1)</script><img src=x onerror=alert(1)>\"' onload=x",
    "formula": "=cmd|'/C calc'!A0",
    "plus": "+1+1",
    "at": "@SUM(1+1)",
    "path": "../../etc/passwd",
    "query": "x?a=b&c#d%2e%2e%00;drop table",
    "template": "{{7*7}} {% raw %} ${7*7} #{7*7} %(x)s %s {0}",
    "right to left": "abc\u202edef\u2066ghi\u200f",
    "escape": "\x1b]0;pwned\x07\x1b[31mred\x9b2J",
    "header": "x\r\nBcc: everybody@evil.example\r\n\r\nbody",
    "emoji": "😀" * 64,
    "joined emoji": "👩‍👩‍👧‍👦" * 16,
    "nul": "a\0b",
    "half a character": "a\ud800b",
    "long": "x" * 10_000,
    "wide": "检" * 10_000,
    "combining": "a" + "\u0301" * 500,
}


def bite_everywhere(conn: Connection, bite: str) -> None:
    """Write `bite` wherever the database keeps what people or servers wrote, past every check."""
    bite = bite.encode(errors="ignore").decode()  # no database takes half a character
    error = verbatim(bite)
    for table, values in (
        (thresholds, {"note": bite, "updated_by": bite[:128]}),
        (alerts, {"acknowledged_by": bite[:128], "acknowledged_note": bite}),
        (silences, {"reason": bite, "created_by": bite[:128]}),
        (plans, {"note": bite, "created_by": bite[:128]}),
        (orders, {"note": bite, "reference": bite[:200], "ordered_by": bite[:128]}),
        (wallets, {"error_kind": SourceErrorKind.SERVER, "error_message": error}),
        (deliveries, {"error_message": error}),
        (audit, {"actor": bite[:128]}),
    ):
        conn.execute(update(table).values(values))
