"""The tests that need more than cargo."""
