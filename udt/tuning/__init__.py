"""Search for better parameters inside a budget."""
