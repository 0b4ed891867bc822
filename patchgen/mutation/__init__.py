"""Mutants: mistakes that people make, put into the reference series one at a time."""
