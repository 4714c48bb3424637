"""Runs in the SDK's own virtual environment: carries out snippets and answers with their values.

One JSON object a line over a socket that the test process hands down. It imports nothing of this project.
"""

# mypy: ignore-errors
import ast
import json
import socket
import sys

import python_kemptech_api


def evaluate(code, names):
    """Run the snippet; its value is that of its last line when that is an expression."""
    tree = ast.parse(code)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "snippet", "exec"), names)
        return None
    tree.body.pop()
    exec(compile(tree, "snippet", "exec"), names)
    return eval(compile(ast.Expression(last.value), "snippet", "eval"), names)


def main():
    names = {name: value for name, value in vars(python_kemptech_api).items() if not name.startswith("_")}
    with socket.socket(fileno=int(sys.argv[1])) as control, control.makefile("rw", encoding="utf-8") as lines:
        for line in lines:
            asked = json.loads(line)
            names.update(asked["names"])
            try:
                answer = {"value": evaluate(asked["code"], names)}
            except Exception as error:
                kinds = [kind.__name__ for kind in type(error).__mro__]
                answer = {"kinds": kinds, "text": str(error), "status": getattr(error, "status_code", None)}
            lines.write(json.dumps(answer, default=str) + "\n")
            lines.flush()


main()
