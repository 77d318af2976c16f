"""How a configuration is read, checked and refused."""
