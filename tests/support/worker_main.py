"""Runs a worker on `tests.support.worker_app`: options as one JSON object in the first argument."""

import json
import sys

from tests.support.worker_app import app
from tq.worker import Worker

if __name__ == "__main__":
    sys.exit(Worker(app, **json.loads(sys.argv[1])).start())
