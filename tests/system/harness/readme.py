"""What README tells people to do, read out of README itself."""
import os
import re

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))


def section(title):
    """The lines below a title, up to the next one."""
    with open(os.path.join(TOP, "README"), encoding="utf-8") as f:
        lines = f.read().splitlines()
    titles = [i for i, line in enumerate(lines) if re.fullmatch(r"[-=]{3,}", line)]
    for at, following in zip(titles, titles[1:] + [len(lines) + 1]):
        if lines[at - 1] == title:
            return lines[at + 1:following - 1]
    raise AssertionError(f"README has no section {title!r}")


def blocks(lines):
    """[(the paragraph before it, the lines)] of each block that is set in by four columns more
    than the text is: three in numbered steps, else none."""
    margin = 7 if any(re.match(r"\d+\. ", line) for line in lines) else 4
    found, text, block, ended = [], [], [], True
    for line in lines + ["the end"]:
        if line.startswith(" " * margin):
            block.append(line[margin:])
        elif line:
            if block:
                found.append((" ".join(text), "\n".join(block).strip("\n")))
            # Only the paragraph that leads to a block is told with it.
            text = [line.strip()] if block or ended else text + [line.strip()]
            block = []
        elif block:
            block.append("")
        ended = not line
    return found
