"""balancebot: will we run out of SMS, when, and who must act?"""

__version__ = "0.1.0"
