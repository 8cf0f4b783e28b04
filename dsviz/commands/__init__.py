"""One file a command of `dsviz`: `main(words)` carries it out and gives the exit status."""
