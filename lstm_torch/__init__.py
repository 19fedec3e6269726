"""The same LSTM language model on PyTorch: the production twin of `lstm_ref`. Imports `lstm_ref.core` only."""
