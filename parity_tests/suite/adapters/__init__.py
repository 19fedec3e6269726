"""Ready adapters, one file for each library, which only that file imports."""
