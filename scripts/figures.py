"""Draw the figures of a trial paper; see configs/figures.yaml."""

from fusion.cli import figures

if __name__ == "__main__":
    figures()
