"""Merging: experts of one initialisation into one backbone."""
