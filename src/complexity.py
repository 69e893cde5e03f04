"""What every upsampler costs in both networks: python -m src.complexity task=matting,segmentation."""

from denseup.cli.complexity import main

if __name__ == "__main__":
    main()
