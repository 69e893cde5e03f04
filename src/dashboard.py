"""The comparison as a W&B workspace and report: python -m src.dashboard [PATH …] [--group SWEEP]."""

from denseup.cli.dashboard import main

if __name__ == "__main__":
    main()
