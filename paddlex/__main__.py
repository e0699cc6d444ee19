"""`python -m paddlex`."""

from paddlex.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
