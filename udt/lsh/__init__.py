"""Locality-sensitive hashing: vectors to codes, codes to tables, and which of them to use."""
