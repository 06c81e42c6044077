"""Say why a run said what it said; see configs/explain.yaml."""

from fusion.cli import explain

if __name__ == "__main__":
    explain()
