"""Why a balance speaks or stays silent, in words."""
