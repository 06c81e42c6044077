"""A simulated cohort of small-cell lung cancer: raw files as a real study has them, and the truth behind them."""

from fusion.data.simulator.genesets import GENE_SETS
from fusion.data.simulator.latents import PRESETS
from fusion.data.simulator.write import SimulationSummary, simulate_cohort

__all__ = ["GENE_SETS", "PRESETS", "SimulationSummary", "simulate_cohort"]
