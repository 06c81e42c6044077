"""Named sets of genes: those that ship with the package, and any GMT or JSON file, checked line by line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: Where the shipped sets lie: `sclc` for expression, `sclc_pathways` for mutations.
SHIPPED = Path(__file__).parent / "gmt"


@dataclass(frozen=True)
class GeneSet:
    """Genes of one set, in the order of the file, and where they come from (the description column of a GMT)."""

    source: str
    genes: tuple[str, ...]


def shipped_names() -> tuple[str, ...]:
    """Names that stand for a file of this package.

    >>> shipped_names()
    ('sclc', 'sclc_pathways')
    """
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.gmt")))


def read_gene_sets(name: str | Path) -> dict[str, tuple[str, ...]]:
    """Gene sets by name, both names and genes sorted, so that the order of a file is no matter.

    Args:
        name: A shipped name (`sclc`), or the path of a GMT or JSON (`{name: [genes]}`) file.

    Raises:
        ValueError: There is no such file, or it is no list of gene sets; the message names file and line.

    >>> read_gene_sets("sclc_pathways")["myc_family"]
    ('MYC', 'MYCL', 'MYCN')
    """
    path = SHIPPED / f"{name}.gmt" if str(name) in shipped_names() else Path(name)
    if not path.is_file():
        names = ", ".join(shipped_names())
        raise ValueError(f"{path}: no such file; `gene_sets` names a GMT or JSON file, or one of {names}")
    sets = _read_json(path) if path.suffix == ".json" else read_gmt(path)
    return {key: tuple(sorted(sets[key].genes)) for key in sorted(sets)}


def read_gmt(path: Path) -> dict[str, GeneSet]:
    """Sets of a GMT file (name, description, genes, divided by tabs), in the order of the file.

    Blank lines and blank fields at the end of a line are passed over, as spreadsheets leave them; a gene that is named
    twice in a set counts once.

    Raises:
        ValueError: A line is no gene set; the message names file and line.
    """
    sets: dict[str, GeneSet] = {}
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        name, *rest = (field.strip() for field in line.split("\t"))
        source, genes = (rest[0] if rest else ""), tuple(dict.fromkeys(gene for gene in rest[1:] if gene))
        if not name or not genes:
            wanted = "name, description and at least one gene, divided by tabs"
            raise ValueError(f"{path}, line {number}: {len(rest) + 1} fields; write {wanted}")
        _add(sets, name, GeneSet(source, genes), f"{path}, line {number}")
    return _some(sets, path)


def _read_json(path: Path) -> dict[str, GeneSet]:
    try:
        found = json.loads(_text(path), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}; write one JSON object, name: [genes]") from None
    if not isinstance(found, Mapping):
        raise ValueError(f"{path}: a {type(found).__name__} at the top; write one JSON object, name: [genes]")
    sets: dict[str, GeneSet] = {}
    for name, genes in found.items():
        if not isinstance(genes, list) or not genes or not all(isinstance(g, str) and g.strip() for g in genes):
            raise ValueError(f"{path}: set {name!r} is no list of genes; write {name!r}: ['GENE', ...]")
        _add(sets, name.strip(), GeneSet("", tuple(dict.fromkeys(g.strip() for g in genes))), str(path))
    return _some(sets, path)


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"set {name!r} stands there twice")
    return dict(pairs)


def _add(sets: dict[str, GeneSet], name: str, genes: GeneSet, where: str) -> None:
    if not name:
        raise ValueError(f"{where}: a set without a name; name it")
    if name in sets:
        raise ValueError(f"{where}: set {name!r} stands there twice; rename one of them")
    for gene in genes.genes:
        if any(letter.isspace() or not letter.isprintable() for letter in gene):
            raise ValueError(f"{where}: {gene[:40]!r} is no gene symbol; divide genes by tabs, not by spaces")
    sets[name] = genes


def _some(sets: dict[str, GeneSet], path: Path) -> dict[str, GeneSet]:
    if not sets:
        raise ValueError(f"{path}: no gene set in it; write one per line: name, description, genes, divided by tabs")
    return sets


def _text(path: Path) -> str:
    """Text of a file, whatever its line ends; an opening byte-order mark is no part of it."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start + 1} is not UTF-8; save it as UTF-8 text") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
