"""Score finished runs again, pool and compare them; see configs/evaluate.yaml."""

from fusion.cli import evaluate

if __name__ == "__main__":
    evaluate()
