"""Gene sets of small-cell lung cancer that the simulator expresses and that reports score."""

from typing import Final

#: Neuroendocrine and non-neuroendocrine genes (Zhang et al. 2018, Transl Lung Cancer Res 7:32).
NEUROENDOCRINE: Final = (
    "BEX1", "ASCL1", "INSM1", "CHGA", "TAGLN3", "KIF5C", "CRMP1", "SCG3", "SYT4", "RTN1", "MYT1", "SYP", "KIF1A",
    "TMSB15A", "SYN1", "SYT11", "RUNDC3A", "TFF3", "CHGB", "FAM57B", "SH3GL2", "BSN", "SEZ6", "TMSB15B", "CELF3",
)  # fmt: skip
NON_NEUROENDOCRINE: Final = (
    "RAB27B", "TGFBR2", "SLC16A5", "S100A10", "ITGB4", "YAP1", "LGALS3", "EPHA2", "S100A16", "PLAU", "ABCC3",
    "ARHGDIB", "CYR61", "PTGES", "CCND1", "IFITM2", "IFITM3", "AHNAK", "CAV2", "TACSTD2", "TGFBI", "EMP1", "CAV1",
    "ANXA1", "MYOF",
)  # fmt: skip
#: T-cell-inflamed gene expression profile (Ayers et al. 2017, J Clin Invest 127:2930).
T_CELL_INFLAMED: Final = (
    "CCL5", "CD27", "CD274", "CD276", "CD8A", "CMKLR1", "CXCL9", "CXCR6", "HLA-DQA1", "HLA-DRB1", "HLA-E", "IDO1",
    "LAG3", "NKG7", "PDCD1LG2", "PSMB10", "STAT1", "TIGIT",
)  # fmt: skip
#: Markers of tumour-associated macrophages.
MACROPHAGE: Final = (
    "CD163", "CD68", "MSR1", "MRC1", "CSF1R", "C1QA", "C1QB", "C1QC", "APOE", "SPP1", "TREM2", "GPNMB", "MARCO",
    "CD14", "FCGR3A", "FCGR2B", "VSIG4", "STAB1", "LILRB4", "SIGLEC1", "MS4A4A", "MS4A6A", "FOLR2", "CCL18",
)  # fmt: skip
#: Markers of epithelial-mesenchymal transition and stroma.
MESENCHYMAL: Final = (
    "VIM", "ZEB1", "ZEB2", "SNAI1", "SNAI2", "TWIST1", "FN1", "CDH2", "COL1A1", "COL1A2", "COL3A1", "SPARC", "ACTA2",
    "MMP2", "FAP", "THY1", "LUM", "DCN", "POSTN", "CTHRC1",
)  # fmt: skip
#: Targets of MYC.
MYC_TARGETS: Final = (
    "NPM1", "NCL", "FBL", "NOP56", "NOP16", "NOLC1", "DDX21", "RRP9", "RRP12", "PES1", "BOP1", "WDR43", "GNL3",
    "MRTO4", "NOP2", "PPAN", "SRM", "ODC1", "LDHA", "CDK4", "MCM4", "MCM5", "PLK1", "HSPD1", "PRMT3",
)  # fmt: skip
#: Antigen presentation on MHC class I.
ANTIGEN_PRESENTATION: Final = (
    "HLA-A", "HLA-B", "HLA-C", "B2M", "TAP1", "TAP2", "TAPBP", "PSMB8", "PSMB9", "NLRC5", "ERAP1", "CALR",
)  # fmt: skip

GENE_SETS: Final = {
    "neuroendocrine": NEUROENDOCRINE,
    "non_neuroendocrine": NON_NEUROENDOCRINE,
    "t_cell_inflamed": T_CELL_INFLAMED,
    "macrophage": MACROPHAGE,
    "mesenchymal": MESENCHYMAL,
    "myc_targets": MYC_TARGETS,
    "antigen_presentation": ANTIGEN_PRESENTATION,
}
