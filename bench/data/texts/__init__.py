"""Data sets of texts: corpora, their formats, tokens, and a grammar that writes sentences without a download."""
