"""`python -m notifier` is the `notifier` command; the supervisor starts its children so, whatever PATH says."""

from notifier.cli import main

if __name__ == "__main__":
    main()
