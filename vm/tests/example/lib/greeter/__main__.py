"""greet whom | to [NAME] | follow: read the name, change it, or print it until interrupted."""

from __future__ import annotations

import argparse
import socket
import sys
import time

from . import greet, whom


def main() -> int:
    parser = argparse.ArgumentParser(prog="greet", description=__doc__)
    parser.add_argument("action", choices=("whom", "to", "follow"))
    parser.add_argument("name", nargs="?", help="default: a line of standard input")
    arguments = parser.parse_args()
    try:
        # Takes the lowest free descriptor, as most programs do.
        with socket.socket():
            if arguments.action == "to":
                greet(arguments.name or input())
            else:
                print(whom(), flush=True)
        while arguments.action == "follow":
            time.sleep(0.1)
    except OSError as error:
        print(f"greet: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
