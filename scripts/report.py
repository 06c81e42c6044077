"""Build the report of a run again; see configs/report.yaml."""

from fusion.cli import report

if __name__ == "__main__":
    report()
