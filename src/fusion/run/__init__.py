"""The body of every command. Beside `build.py` and `cli.py` nothing else knows Hydra."""
