"""fitcore: the index is added when all modules have landed."""
