"""The command line. Nothing heavy is imported here: `coalmine --help` must answer in 0.3 s."""

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of this process and end it with the command's exit code."""
    from .app import app

    app()
