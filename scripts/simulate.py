"""Write a simulated cohort; see configs/simulate.yaml."""

from fusion.cli import simulate

if __name__ == "__main__":
    simulate()
