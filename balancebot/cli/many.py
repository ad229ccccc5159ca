"""A number and what it counts."""


def many(count: int, noun: str) -> str:
    """Write `1 wallet`, `1,200 wallets`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
