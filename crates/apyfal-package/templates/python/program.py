"""Changes the case of the letters of standard input."""

import codecs
import sys

change = {"upper": str.upper, "lower": str.lower}[sys.argv[1]]
decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
while block := sys.stdin.buffer.read(1 << 20):
    text = change(decoder.decode(block))
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
rest = change(decoder.decode(b"", final=True))
sys.stdout.buffer.write(rest.encode("utf-8", "surrogateescape"))
