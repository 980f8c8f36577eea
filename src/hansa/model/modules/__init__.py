"""The torch modules of the declared architectures; torch is imported here, so nothing but `build` imports this room."""
