"""What the process says about itself: log lines, and figures for Prometheus. Use-cases report; here it becomes both."""

from balancebot.observability.log_lines import set_up_logging
from balancebot.observability.metrics import Metrics
from balancebot.observability.reporter import Reporter

__all__ = ["Metrics", "Reporter", "set_up_logging"]
