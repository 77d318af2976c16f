"""Who the caller is and how its platform stands: the calls to IAM and the registry, and what is remembered of their responses."""
