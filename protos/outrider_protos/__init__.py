"""What device and cloud must agree on: words, wire, noise, hashes, limits."""
