"""What a method receives and what is measured while it works."""
