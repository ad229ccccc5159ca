"""Everything about Slack: posting, editing and finding messages; buttons, the top-up form and `/balance` over Socket Mode.

Open `channel.py` for what is sent and `handlers.py` for what people do there.
"""
