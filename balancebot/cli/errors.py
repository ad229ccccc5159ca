"""What a command gives up with: lines for the person, and the exit status."""


class CommandError(Exception):
    """An expected end other than success; `str()` of it is what stderr shows."""

    def __init__(self, *lines: str, status: int = 1) -> None:
        super().__init__("\n".join(lines))
        self.status = status


class RefusedError(CommandError):
    """The command was used wrongly, or the configuration is at fault: nothing was done."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines, status=2)
