"""A folder per task: what each mode of the engine does."""
