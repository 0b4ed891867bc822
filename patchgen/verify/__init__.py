"""A verdict, with its evidence, on patches that anybody has made."""
