"""What both twins share: data, configs, draws, checkpoints, the trainer. No arithmetic under test stands here."""
