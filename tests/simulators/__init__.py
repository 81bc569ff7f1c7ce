"""Stand-ins that keep the contracts they stand in for, and fail loudly when a caller does not."""
