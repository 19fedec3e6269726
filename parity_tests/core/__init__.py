"""Unit tests of lstm_ref.core."""
