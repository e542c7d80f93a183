"""Data sets of tables: columns of numbers."""
