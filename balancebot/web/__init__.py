"""The pages for people, and the doors for machines. Every change comes from a session, with its token, and is audited."""
