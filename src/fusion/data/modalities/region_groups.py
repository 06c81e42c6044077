"""Groups of methylated regions: by their names, or by an annotation in a file."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fusion.data.gene_sets import read_gene_sets

#: Group of the regions that no other group has.
REST = "other"

_PLACE = re.compile(r"((?:chr)?(?:\d{1,2}|[XYM]|MT))[:_-]\d+[-_:]\d+")
_NUMBERED = re.compile(r"(.*\D)[_.:-]\d+")


def group_of_name(region: str) -> str:
    """Chromosome of a region named by its place, class of a numbered one, else `other`.

    >>> [group_of_name(name) for name in ("chr1:1000-1500", "X:5-9", "cimp_0412", "cg00000029")]
    ['chr1', 'chrX', 'cimp', 'other']
    """
    place, numbered = _PLACE.fullmatch(region), _NUMBERED.fullmatch(region)
    if place:
        return f"chr{place[1].removeprefix('chr')}"
    return numbered[1] if numbered else REST


def read_region_groups(path: Path) -> dict[str, tuple[str, ...]]:
    """Regions of each group, from GMT or JSON as gene sets are written, or a table `region<tab>group`, one pair a line.

    Raises:
        ValueError: There is no such file, or a line of the table has not two fields.
    """
    if path.suffix in (".gmt", ".json"):
        return read_gene_sets(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; `groups` names a GMT file, or a table of region and group")
    groups: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = [field.strip() for field in line.split("\t")]
        if not line.strip() or fields == ["region", "group"]:
            continue
        if len(fields) != 2 or not all(fields):
            raise ValueError(f"{path}, line {number}: {len(fields)} fields; write region and group, divided by a tab")
        groups.setdefault(fields[1], []).append(fields[0])
    return {name: tuple(sorted(set(groups[name]))) for name in sorted(groups)}


def region_groups(regions: Sequence[str], annotation: Mapping[str, Sequence[str]] | None) -> dict[str, tuple[int, ...]]:
    """Columns of each group by name, those of no group last, as `other`; groups without a region are left out.

    Args:
        regions: Region of each column.
        annotation: Regions of each group, which may overlap; None goes by the names.

    >>> region_groups(("a", "b", "c"), {"x": ("b", "a"), "y": ("b", "z")})
    {'x': (0, 1), 'y': (1,), 'other': (2,)}
    """
    if annotation is None:
        by_name: dict[str, list[str]] = {}
        for region in regions:
            by_name.setdefault(group_of_name(region), []).append(region)
        annotation = by_name
    column = {region: place for place, region in enumerate(regions)}
    groups = {
        name: tuple(sorted(column[region] for region in annotation[name] if region in column))
        for name in sorted(annotation)
        if name != REST
    }
    grouped = {place for members in groups.values() for place in members}
    groups[REST] = tuple(place for place in range(len(regions)) if place not in grouped)
    return {name: members for name, members in groups.items() if members}
