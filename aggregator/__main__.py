"""`python -m aggregator` is `inboxd`."""

from aggregator.cli import main

main()
