"""Answers on standard output, a line each, whether a Python SDK accepts the vectors on standard input."""

import importlib
import json
import pkgutil
import sys
from pathlib import Path

import time_machine

sys.path.insert(0, str(Path(__file__).parent))
import providers  # noqa: E402


def registered():
    judges = {}
    for module in pkgutil.iter_modules(providers.__path__):
        judges.update(importlib.import_module(f"providers.{module.name}").JUDGES)
    return judges


def main():
    judges = registered()
    for line in sys.stdin:
        asked = json.loads(line)
        vector = asked["vector"]
        if asked["name"] not in judges:
            answer = {"failure": f"no Python judge is called {asked['name']}"}
        else:
            try:
                with time_machine.travel(vector["verify_at"], tick=False):
                    answer = {"accepted": bool(judges[asked["name"]](vector, asked["key"]))}
            except Exception:  # The SDKs raise to refuse.
                answer = {"accepted": False}
        print(json.dumps(answer), flush=True)


main()
