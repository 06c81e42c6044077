"""Every annotation of the package is checked while the tests run; training pays nothing for it."""

import os

os.environ["WANDB_MODE"] = "disabled"

from jaxtyping import install_import_hook

install_import_hook("fusion", "typecheck.checked")
