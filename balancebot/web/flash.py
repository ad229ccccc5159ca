"""The sentence a page shows after a redirect: what was done. It travels in the address as a key, never as text."""

from enum import StrEnum

from starlette.responses import RedirectResponse, Response

from balancebot.domain.sentence import sentence


class Done(StrEnum):
    """What was done, as the id of a sentence."""

    USER_ADDED = sentence("The user was added.").id
    USER_REMOVED = sentence("The user was removed and is logged out everywhere.").id
    ROLE_SET = sentence("The role was changed and applies immediately.").id
    PASSWORD_SET = sentence("The password was changed; all other sessions have ended.").id
    LOGGED_OUT = sentence("The sessions have ended.").id
    SAVED = sentence("Saved. It takes effect at the next reading.").id
    UNDONE = sentence("Undone. It takes effect at the next reading.").id
    IMPORTED = sentence("The sheet was applied. It takes effect at the next reading.").id
    ACKNOWLEDGED = sentence("Acknowledged: no reminders unless it gets worse.").id
    RESENT = sentence("It will be sent again now.").id
    SILENCED = sentence("Silenced.").id
    SILENCE_ENDED = sentence("The silence has ended.").id
    PLAN_ADDED = sentence("The send was added and counts towards the runway from now on.").id
    PLAN_REMOVED = sentence("The send was removed.").id


def done(address: str, what: Done) -> Response:
    """Go to a page that says what was done."""
    joint = "&" if "?" in address else "?"
    return RedirectResponse(f"{address}{joint}done={what.name.lower()}", status_code=303)


def said(key: str) -> str:
    """Return the id of the sentence of a key; '' for any other."""
    return next((what.value for what in Done if what.name.lower() == key), "")
