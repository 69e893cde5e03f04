"""`python -m denseup`: the console command, where it is not on the path."""

from denseup.cli.command import main

if __name__ == "__main__":
    main()
