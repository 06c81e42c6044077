"""Check a cohort folder; see configs/validate.yaml."""

from fusion.cli import validate

if __name__ == "__main__":
    validate()
