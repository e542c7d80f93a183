"""The version of this code, which may be newer than what an editable install says of itself."""

__version__ = "0.2.0"
