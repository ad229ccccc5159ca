"""Text that is harmless in the database but could do harm where it is displayed."""

from sqlalchemy import Connection, update

from balancebot.domain.sentence import verbatim
from balancebot.ports import SourceErrorKind
from balancebot.store.tables import alerts, audit, deliveries, orders, plans, silences, thresholds, wallets

INVISIBLE = (
    *map(chr, (*range(9), *range(11, 32))),
    *map(chr, range(127, 160)),
    *"\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff",
    *map(chr, range(0xD800, 0xD900)),
)
"""Characters that no terminal, database, protocol or reader should get: controls, bidirectional marks, surrogates."""

HOSTILE_TEXTS = {
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


def write_everywhere(conn: Connection, hostile: str) -> None:
    """Write `hostile` to every column with text from people or servers, without any check."""
    hostile = hostile.encode(errors="ignore").decode()  # no database accepts half a character
    error = verbatim(hostile)
    for table, values in (
        (thresholds, {"note": hostile, "updated_by": hostile[:128]}),
        (alerts, {"acknowledged_by": hostile[:128], "acknowledged_note": hostile}),
        (silences, {"reason": hostile, "created_by": hostile[:128]}),
        (plans, {"note": hostile, "created_by": hostile[:128]}),
        (orders, {"note": hostile, "reference": hostile[:200], "ordered_by": hostile[:128]}),
        (wallets, {"error_kind": SourceErrorKind.SERVER, "error_message": error}),
        (deliveries, {"error_message": error}),
        (audit, {"actor": hostile[:128]}),
    ):
        conn.execute(update(table).values(values))
