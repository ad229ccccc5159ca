"""All SQL of the project, one file per noun. Functions take a connection and return domain values.

What is kept here must work on SQLite and on PostgreSQL; "only one" is always a unique index.
"""
