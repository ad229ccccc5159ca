"""The web pages, the API and the monitoring addresses. Every change needs a session and its token, and is audited."""
