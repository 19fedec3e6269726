"""The tests that `pytest --pyargs parity_tests --lstm-impl TARGET` runs."""
