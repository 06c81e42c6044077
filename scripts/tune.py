"""Search settings inside the training folds; see configs/tune.yaml."""

from fusion.cli import tune

if __name__ == "__main__":
    tune()
