"""Data sets of images: readers of their files, and those that are drawn here."""
