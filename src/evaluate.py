"""Measure a checkpoint: python -m src.evaluate ckpt=runs/…/checkpoints/best.ckpt [data.root=…] [data=…]."""

from denseup.cli.evaluate import main

if __name__ == "__main__":
    main()
