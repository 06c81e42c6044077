"""Honesty checks of a finished run: each rule against leakage, tried on the run itself."""
