"""The API below `/api/v1/`, for programs that send a token. `route.py` shows how a route is declared and answered."""
