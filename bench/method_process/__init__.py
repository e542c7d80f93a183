"""The process that a method runs in: what it is given, what it hands back, and what walls it in."""
