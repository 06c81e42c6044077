"""Gene sets of small-cell lung cancer that the simulator expresses: those that ship as `gene_sets: sclc`."""

from typing import Final

from fusion.data.gene_sets import SHIPPED, read_gmt

#: Genes of each set, in the order of the file, on which the loadings of the simulated genes depend.
GENE_SETS: Final = {name: found.genes for name, found in read_gmt(SHIPPED / "sclc.gmt").items()}

NEUROENDOCRINE: Final = GENE_SETS["neuroendocrine"]
NON_NEUROENDOCRINE: Final = GENE_SETS["non_neuroendocrine"]
T_CELL_INFLAMED: Final = GENE_SETS["t_cell_inflamed"]
MACROPHAGE: Final = GENE_SETS["macrophage"]
MESENCHYMAL: Final = GENE_SETS["mesenchymal"]
MYC_TARGETS: Final = GENE_SETS["myc_targets"]
ANTIGEN_PRESENTATION: Final = GENE_SETS["antigen_presentation"]
