"""Proof that the two twins agree, and the tests of everything else."""
