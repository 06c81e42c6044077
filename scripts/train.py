"""Train, cross-validate, score and report; see configs/train.yaml."""

from fusion.cli import train

if __name__ == "__main__":
    train()
