"""Reads what Python reads: one JSON request a line on stdin, one JSON answer a line on stdout."""

import ast
import configparser
import io
import json
import struct
import sys
import warnings


def read_ini(data):
    parser = configparser.ConfigParser(allow_no_value=True)
    parser.optionxform = str
    try:
        # Opened as a text file is: universal newlines; the byte order mark is ours to accept.
        parser.read_file(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig"))
    except Exception as error:
        return {"error": type(error).__name__}
    return {"sections": [[name, read_section(parser, name)] for name in parser.sections()]}


def read_section(parser, section):
    values = []
    for key in parser.options(section):
        try:
            value = ["value", parser.get(section, key)]
        except Exception as error:
            value = ["error", type(error).__name__]
        values.append([key, parser.get(section, key, raw=True), value])
    return values


def read_literal(text):
    try:
        return {"literal": canonical(ast.literal_eval(text))}
    except Exception as error:
        return {"literal": None, "error": type(error).__name__}


def canonical(value):
    """A text without any doubt about type, precision or order. Fails for what the test leaves out."""
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"i{value}"
    if isinstance(value, float):
        return "f" + struct.pack(">d", value).hex()
    if isinstance(value, complex):
        return f"c{canonical(value.real)}{canonical(value.imag)}"
    if isinstance(value, str):
        return "s" + value.encode("utf-8").hex()
    if isinstance(value, bytes):
        return "b" + value.hex()
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ",".join(map(canonical, value)) + ")"
    if isinstance(value, set):
        return "{" + ",".join(sorted(map(canonical, value))) + "}"
    if isinstance(value, dict):
        return "<" + ",".join(f"{canonical(k)}:{canonical(v)}" for k, v in value.items()) + ">"
    raise TypeError(type(value))


warnings.simplefilter("ignore")
for line in sys.stdin.buffer.read().splitlines():
    request = json.loads(line)
    if "ini" in request:
        answer = read_ini(bytes.fromhex(request["ini"]))
    else:
        answer = read_literal(request["text"])
    print(json.dumps(answer))
