"""Which columns of a row belong to one covariate, and which of them tells where it is blank."""

from collections.abc import Sequence

#: Suffix of a column that is 1 where the covariate is blank.
MISSING = ":missing"


def covariate_columns(covariates: Sequence[Sequence[str]]) -> dict[str, tuple[int, ...]]:
    """What a token encoder is told of the columns.

    Args:
        covariates: Names of the columns of each covariate, in the order of a row.

    Returns:
        `token_of`, the covariate of each column, and `missing_of`, the column of the flag of each column, -1 where it
        has none or is a flag itself.

    >>> covariate_columns([("age", "age:missing"), ("stage=ES", "stage=LS")])
    {'token_of': (0, 0, 1, 1), 'missing_of': (1, -1, -1, -1)}
    """
    token_of: list[int] = []
    missing_of: list[int] = []
    for token, names in enumerate(covariates):
        start = len(token_of)
        flag = next((start + place for place, name in enumerate(names) if name.endswith(MISSING)), -1)
        token_of += [token] * len(names)
        missing_of += [-1 if name.endswith(MISSING) else flag for name in names]
    return {"token_of": tuple(token_of), "missing_of": tuple(missing_of)}
