"""What the harness refuses, in words for the person at the terminal."""


class HarnessError(Exception):
    """Something outside the guest failed: an image, a build, a missing tool."""
