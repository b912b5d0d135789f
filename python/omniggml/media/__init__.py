"""What a model hears: audio of any kind made into what its encoder reads, and where it stands in a conversation."""
