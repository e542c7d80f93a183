"""What the tables of a suite are held against: strict settings and the training recipe."""
