"""The state machine: commands in, the next state out."""
