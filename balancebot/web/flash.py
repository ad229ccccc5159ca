"""The sentence a page shows after a redirect: what was done. It travels in the address as a key, never as text."""

from enum import StrEnum

from starlette.responses import RedirectResponse, Response


class Done(StrEnum):
    """What was done."""

    USER_ADDED = "The user was added."
    USER_REMOVED = "The user was removed and is logged out everywhere."
    ROLE_SET = "The role was changed; it holds at once."
    PASSWORD_SET = "The password was changed; all other sessions have ended."  # noqa: S105 -- a sentence about one
    LOGGED_OUT = "The sessions have ended."
    SAVED = "Saved. It takes effect at the next reading."
    UNDONE = "Undone. It takes effect at the next reading."
    IMPORTED = "The sheet was taken over. It takes effect at the next reading."
    ACKNOWLEDGED = "Acknowledged: no more reminders unless it gets worse."
    RESENT = "It is tried again at once."
    SILENCED = "Silenced."
    SILENCE_ENDED = "The silence has ended."
    PLAN_ADDED = "The plan was added; runways count with it from now on."
    PLAN_REMOVED = "The plan was removed."


def done(address: str, what: Done) -> Response:
    """Go to a page that says what was done."""
    joint = "&" if "?" in address else "?"
    return RedirectResponse(f"{address}{joint}done={what.name.lower()}", status_code=303)


def said(key: str) -> str:
    """Return the sentence of a key; '' for any other."""
    return next((what.value for what in Done if what.name.lower() == key), "")
