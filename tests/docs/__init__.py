"""The documentation says what is, and what it prints works."""
