"""The command line of the programs in Python."""

import argparse


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True, help="sqlite:///… or postgres://…")
    parser.add_argument("--flows", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--in-flight", type=int, default=1)
    return parser.parse_args()


def sqlalchemy_address(address: str, postgres: str) -> str:
    """SQLAlchemy counts slashes differently, and wants the driver named."""
    scheme, _, rest = address.partition("://")
    return f"sqlite:///{rest}" if scheme == "sqlite" else f"{postgres}://{rest}"
