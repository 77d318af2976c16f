"""A small NNO platform inside the process, to see the gateway work without anything else."""
