"""`python -m tools.gen`: see the package's docstring."""

import argparse
import sys
from pathlib import Path

from tools.gen import checks, generate
from tools.gen.image import GenerationError


def main() -> int:
    """Runs one command; its exit status is 1 when something is to be mended."""
    arguments = _parser().parse_args()
    try:
        _run(arguments)
    except GenerationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "lint":
            checks.lint()
        case "image":
            checks.save_image(arguments.path)
        case "breaking":
            checks.breaking(arguments.against)
        case _ if arguments.check:
            checks.lint()
            generate.check()
        case _:
            generate.write()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.gen", description="Generate from the protos.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when a rule is broken or something is stale"
    )
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("lint", help="buf lint and buf format over the contract")
    image = commands.add_parser("image", help="save the compiled contract, for a later `breaking`")
    image.add_argument("path", type=Path)
    breaking = commands.add_parser("breaking", help="compare the contract with an older image")
    breaking.add_argument("--against", type=Path, required=True, metavar="IMAGE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
