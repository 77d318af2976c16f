"""The platform inside the process, and the lines that show it."""
