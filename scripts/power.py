"""How many patients until an assay shows what it adds; see configs/power.yaml."""

from fusion.cli import power

if __name__ == "__main__":
    power()
