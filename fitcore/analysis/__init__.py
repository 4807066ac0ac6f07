"""What a user writes to fit a model, and what runs its hooks."""
