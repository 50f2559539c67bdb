"""Rows of text -> sparse rows of hashed n-grams."""
