"""Measures what inboxd promises: `python -m bench [name …]`."""
