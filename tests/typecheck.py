"""The checker that `conftest.py` puts on every annotation of the package."""

from beartype import BeartypeConf, beartype

#: An int is welcome where a float is asked for, as Python itself has it.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
