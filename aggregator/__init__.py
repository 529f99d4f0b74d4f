"""inboxd: one stream of what customers write, judged, told and timed."""

__version__ = "0.1.0"
