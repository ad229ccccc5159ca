"""Users, for admins; and one's own password and sessions, for everybody."""

from starlette.responses import Response

from balancebot.domain.user import Role
from balancebot.people import users
from balancebot.people.users import UserFault
from balancebot.web.flash import Done, done
from balancebot.web.rendering import show
from balancebot.web.request import PageRequest


def everyone(visit: PageRequest) -> Response:
    """Show all users."""
    return _everyone(visit)


def add(visit: PageRequest) -> Response:
    """Add a user."""
    role = _role(visit)
    fault = users.add_user(
        visit.site.database,
        name=visit.sent("name"),
        role=role,
        password=visit.sent_exactly("password"),
        by=visit.actor,
        now=visit.now,
    )
    if fault is not None:
        return _everyone(visit, fault, name=visit.sent("name"), role=role)
    return done("/users", Done.USER_ADDED)


def set_role(visit: PageRequest) -> Response:
    """Give a user another role."""
    fault = users.set_role(
        visit.site.database, name=visit.sent("name"), role=_role(visit), by=visit.actor, now=visit.now
    )
    return done("/users", Done.ROLE_SET) if fault is None else _everyone(visit, fault)


def set_password(visit: PageRequest) -> Response:
    """Give a user another password."""
    fault = users.set_password(
        visit.site.database,
        name=visit.sent("name"),
        password=visit.sent_exactly("password"),
        by=visit.actor,
        now=visit.now,
        keep_session=visit.session_id,
    )
    return done("/users", Done.PASSWORD_SET) if fault is None else _everyone(visit, fault)


def end_sessions(visit: PageRequest) -> Response:
    """Log a user out everywhere."""
    fault = users.end_sessions(
        visit.site.database, name=visit.sent("name"), by=visit.actor, now=visit.now, but=visit.session_id
    )
    return done("/users", Done.LOGGED_OUT) if fault is None else _everyone(visit, fault)


def remove(visit: PageRequest) -> Response:
    """Remove a user."""
    fault = users.remove_user(visit.site.database, name=visit.sent("name"), by=visit.actor, now=visit.now)
    return done("/users", Done.USER_REMOVED) if fault is None else _everyone(visit, fault)


def me(visit: PageRequest) -> Response:
    """Show one's own sessions and the form for a new password."""
    return _me(visit)


def set_my_password(visit: PageRequest) -> Response:
    """Give oneself another password; the present one must be known."""
    if not users.is_password(
        visit.site.database, name=visit.user.name, password=visit.sent_exactly("present")
    ):
        return _me(visit, fault="The present password is another one.")
    fault = users.set_password(
        visit.site.database,
        name=visit.user.name,
        password=visit.sent_exactly("password"),
        by=visit.actor,
        now=visit.now,
        keep_session=visit.session_id,
    )
    return done("/me", Done.PASSWORD_SET) if fault is None else _me(visit, fault=fault)


def end_my_other_sessions(visit: PageRequest) -> Response:
    """Log oneself out everywhere else."""
    users.end_sessions(
        visit.site.database, name=visit.user.name, by=visit.actor, now=visit.now, but=visit.session_id
    )
    return done("/me", Done.LOGGED_OUT)


def _everyone(
    visit: PageRequest, fault: UserFault | None = None, *, name: str = "", role: Role = Role.FINANCE
) -> Response:
    return show(
        visit,
        "users.html.j2",
        status=200 if fault is None else 422,
        users=users.list_users(visit.site.database),
        roles=list(Role),
        fault=fault,
        name=name,
        role=role,
    )


def _me(visit: PageRequest, fault: str = "") -> Response:
    return show(
        visit,
        "me.html.j2",
        status=422 if fault else 200,
        sessions=users.sessions_of(visit.site.database, name=visit.user.name, now=visit.now),
        this=visit.session_id,
        fault=fault,
    )


def _role(visit: PageRequest) -> Role:
    """Read the role; a value that the form doesn't offer is the least of them."""
    return next((role for role in Role if role.value == visit.sent("role")), Role.VIEWER)
