"""The tables in the catalogue: what each is."""

from __future__ import annotations

from bench.data.source import Source

TABLES = (
    Source(
        name="breast_cancer",
        kind="tables",
        description="scikit-learn's bundled breast cancer table: 569 tumours, 30 measures of cell nuclei each "
        "(Street et al. 1993); needs no download",
        reader="tables.bundled",
        classes=("malignant", "benign"),
        shape=(30,),
    ),
)
