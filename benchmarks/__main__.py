"""Runs the benchmarks: `python -m benchmarks` lists them, `python -m benchmarks NAME [options]` runs one."""

import ast
import runpy
import sys
from pathlib import Path

from balancebot.cli.process import resume_gc, use_one_blas_thread

FOLDER = Path(__file__).parent


def main() -> int:
    """List the benchmarks, or run the named one with the remaining arguments."""
    names = sorted(file.stem for file in FOLDER.glob("[!_]*.py") if "__main__" in file.read_text())
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        for name in names:
            docstring = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""
            print(f"{name:<10} {docstring.splitlines()[0]}")
        return 0 if len(sys.argv) < 2 else 2
    name = sys.argv.pop(1)
    use_one_blas_thread()  # like `run`
    resume_gc()
    sys.path.insert(0, str(FOLDER.parent))
    sys.path.insert(0, str(FOLDER))
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
