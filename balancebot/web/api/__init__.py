"""The API below `/api/v1/`, for programs that show a token; `route.py` says how a route is declared and answered."""
