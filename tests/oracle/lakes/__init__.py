"""Random lakes: small, full of the cases that real logs hold, and the same for the same number."""
