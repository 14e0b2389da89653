"""Commands that run the loop, and those that show what a run did."""
