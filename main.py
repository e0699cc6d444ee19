"""`python main.py -c FILE -o a.b=value`: the same as the console command `paddlex`."""

from paddlex.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
