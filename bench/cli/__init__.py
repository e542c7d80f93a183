"""The commands of `python -m bench`: one file a group, and what they show as data first."""
