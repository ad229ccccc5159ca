"""`python -m balancebot` is `balancebot`."""

from balancebot.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
