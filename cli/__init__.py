"""The program `patlm`: one file a command, put together in `main`."""
