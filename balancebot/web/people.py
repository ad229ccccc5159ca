"""Users, for admins; and the own password and sessions, for everybody."""

from starlette.responses import Response

from balancebot.catalogue import language_name
from balancebot.config import LANGUAGES
from balancebot.domain.sentence import sentence
from balancebot.domain.user import Role
from balancebot.people import users
from balancebot.people.log_in import LogInRefused, LogInThrottled
from balancebot.people.users import UserFault
from balancebot.web.downloads import MAX_IN_CSV, csv_file, instant_cell
from balancebot.web.rendering import show
from balancebot.web.request import Done, PageRequest, done


def users_page(request: PageRequest) -> Response:
    """Show all users."""
    return _users_page(request)


def to_csv(request: PageRequest) -> Response:
    """Send all users as CSV."""
    header = ("name", "role", "single_sign_on", "created_at", "language", "time_zone")
    rows = (
        (
            user.name,
            user.role.value,
            "yes" if user.vouched else "no",
            instant_cell(user.created_at),
            user.language,
            user.time_zone,
        )
        for user in users.list_users(request.app.database)[:MAX_IN_CSV]
    )
    return csv_file([header, *rows], "users.csv")


def add(request: PageRequest) -> Response:
    """Add a user."""
    role = _role(request)
    fault = users.add_user(
        request.app.database,
        name=request.sent("name"),
        role=role,
        password=request.sent_exactly("password"),
        by=request.actor,
        now=request.now,
    )
    if fault is not None:
        return _users_page(request, fault, name=request.sent("name"), role=role)
    return done("/users", Done.USER_ADDED)


def set_role(request: PageRequest) -> Response:
    """Give a user another role."""
    fault = users.set_role(
        request.app.database,
        name=request.sent("name"),
        role=_role(request),
        by=request.actor,
        now=request.now,
    )
    return done("/users", Done.ROLE_SET) if fault is None else _users_page(request, fault)


def set_password(request: PageRequest) -> Response:
    """Give a user a new password."""
    fault = users.set_password(
        request.app.database,
        name=request.sent("name"),
        password=request.sent_exactly("password"),
        by=request.actor,
        now=request.now,
        keep_session=request.session_id,
    )
    return done("/users", Done.PASSWORD_SET) if fault is None else _users_page(request, fault)


def end_sessions(request: PageRequest) -> Response:
    """Log a user out everywhere."""
    fault = users.end_sessions(
        request.app.database,
        name=request.sent("name"),
        by=request.actor,
        now=request.now,
        but=request.session_id,
    )
    return done("/users", Done.LOGGED_OUT) if fault is None else _users_page(request, fault)


def remove(request: PageRequest) -> Response:
    """Remove a user."""
    fault = users.remove_user(
        request.app.database, name=request.sent("name"), by=request.actor, now=request.now
    )
    return done("/users", Done.USER_REMOVED) if fault is None else _users_page(request, fault)


def me(request: PageRequest) -> Response:
    """Show the user's own sessions and the form for a new password."""
    return _me(request)


def set_my_password(request: PageRequest) -> Response:
    """Change the user's own password; the present one must be entered."""
    match request.app.log_in.confirm(
        name=request.user.name, password=request.sent_exactly("present"), now=request.now
    ):
        case LogInRefused():
            return _me(request, fault=sentence("The current password is wrong.").id)
        case LogInThrottled():
            return _me(
                request, fault=sentence("Too many wrong passwords. Try again in a minute.").id, status=429
            )
        case True:
            pass
    fault = users.set_password(
        request.app.database,
        name=request.user.name,
        password=request.sent_exactly("password"),
        by=request.actor,
        now=request.now,
        keep_session=request.session_id,
    )
    return done("/me", Done.PASSWORD_SET) if fault is None else _me(request, fault=fault)


def set_my_preferences(request: PageRequest) -> Response:
    """Set the user's own language and time zone."""
    users.set_preferences(
        request.app.database,
        name=request.user.name,
        language=request.sent("language"),
        time_zone=request.sent("time_zone"),
    )
    return done("/me", Done.PREFERENCES_SET)


def end_my_other_sessions(request: PageRequest) -> Response:
    """End the user's own sessions in other browsers."""
    users.end_sessions(
        request.app.database,
        name=request.user.name,
        by=request.actor,
        now=request.now,
        but=request.session_id,
    )
    return done("/me", Done.LOGGED_OUT)


def _users_page(
    request: PageRequest, fault: UserFault | None = None, *, name: str = "", role: Role = Role.FINANCE
) -> Response:
    return show(
        request,
        "users.html.j2",
        status=200 if fault is None else 422,
        users=users.list_users(request.app.database),
        roles=list(Role),
        fault=fault,
        name=name,
        role=role,
    )


def _me(request: PageRequest, fault: str = "", *, status: int = 422) -> Response:
    return show(
        request,
        "me.html.j2",
        status=status if fault else 200,
        sessions=users.sessions_of(request.app.database, name=request.user.name, now=request.now),
        this=request.session_id,
        languages=[(name, language_name(name)) for name in LANGUAGES],
        configured=request.app.words,
        time_zones=users.time_zones(),
        fault=fault,
    )


def _role(request: PageRequest) -> Role:
    """Read the role; a value that the form doesn't offer becomes the lowest role."""
    return next((role for role in Role if role.value == request.sent("role")), Role.VIEWER)
