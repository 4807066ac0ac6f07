"""The commands of the command line, a module each. What they do is in the other modules of `flows`; `flows.cli` says which there are."""
