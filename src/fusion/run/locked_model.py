"""The final model of a run, locked: a card that says what it is and is for, and the hashes of its files.

`predict` refuses a model whose files are not those of its card: what was validated is what answers.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from fusion.training.checkpoint import write_json
from fusion.training.manifest import sha256

CARD = "model_card.json"

#: What an answer depends on.
FILES = ("model.safetensors", "preprocessing.json", "preprocessing.safetensors")


def _hash(path: Path) -> str:
    """Hash of a file; of the JSON less the inner folds, which name patients and are taken out before it is given on."""
    if path.suffix != ".json":
        return sha256(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("inner_fold", None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def lock_model(run: Path) -> None:
    """Write the card of the final model of a finished run, as JSON and to be read."""
    from fusion.report.methods import model_card
    from fusion.report.run_folder import read_run

    place = run / "final_model"
    files = {name: _hash(place / name) for name in FILES}
    facts = [(heading, text) for heading, text in model_card(read_run(run)) if text]
    write_json(
        place / CARD,
        {
            "schema": 1,
            "research_use_only": True,
            "facts": dict(facts),
            "files_sha256": files,
            "config_sha256": sha256(run / "config.json"),
        },
    )
    hashes = "\n".join(f"- `{name}`: `{value}`" for name, value in files.items())
    lines = [f"**{heading}.** {text}\n" for heading, text in facts]
    (place / "MODEL_CARD.md").write_text(
        "# Model card\n\n**Research use only. Gives no medical advice.**\n\n"
        + "\n".join(lines)
        + f"\n**Files**, by SHA-256 (of the JSON less `inner_fold`); `predict` refuses others:\n\n{hashes}\n",
        encoding="utf-8",
    )


def read_card(place: Path) -> dict[str, Any] | None:
    """The card of a final model, once its files were found to be those that it names; None where there is no card.

    Raises:
        ValueError: A file was changed since.
    """
    if not (place / CARD).is_file():
        return None
    card: dict[str, Any] = json.loads((place / CARD).read_text(encoding="utf-8"))
    changed = [name for name, value in card["files_sha256"].items() if name in FILES and _hash(place / name) != value]
    if changed:
        raise ValueError(
            f"{place}: {', '.join(changed)} is not the file that {CARD} names; take the folder from its source again, "
            "or train anew"
        )
    return card
