"""What a finished cell leaves: records, their files, and which of them count."""
