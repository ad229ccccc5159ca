"""Slack as people's hands: buttons, the top-up form and /balance over Socket Mode, so that no public address is needed."""
