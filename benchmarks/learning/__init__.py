"""Does it learn: the paper's claims in miniature, ``python -m benchmarks.learning``."""
