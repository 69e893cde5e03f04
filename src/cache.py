"""The kept features of frozen encoders: python -m src.cache [clear=all]."""

from denseup.cli.cache import main

if __name__ == "__main__":
    main()
