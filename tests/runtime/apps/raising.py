"""An application that cannot be imported without its environment."""

import os

DATABASE = os.environ["TINY_DATABASE_URL"]
