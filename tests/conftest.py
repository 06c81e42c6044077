"""Every annotation of the package is checked while the tests run; training pays nothing for it."""

import os

os.environ["WANDB_MODE"] = "disabled"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side, on small tensors

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook("fusion", "typecheck.checked")

# On a busy machine an example takes as long as it takes.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def store_of_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Commands pack bags into a folder of the tests, not into the user's cache."""
    os.environ["FUSION_STORE"] = str(tmp_path_factory.mktemp("store"))
