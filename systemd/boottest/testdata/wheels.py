"""Packs Debian's Python packages as wheels, for a pip that cannot reach an index.

    wheels.py DIR PACKAGE[:NEEDS,NEEDS]...
"""
import pathlib, re, sys, zipfile
from importlib.metadata import distribution

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
for argument in sys.argv[2:]:
    name, _, needs = argument.partition(":")
    dist = distribution(name)
    label = re.sub(r"[-_.]+", "_", dist.metadata["Name"]) + "-" + dist.version
    site, info, record = pathlib.Path(dist.locate_file("")), label + ".dist-info/", []
    with zipfile.ZipFile(out / (label + "-py3-none-any.whl"), "w", zipfile.ZIP_DEFLATED) as wheel:
        def add(path, data):
            wheel.writestr(path, data)
            record.append(path + ",,\n")
        top = (dist.read_text("top_level.txt") or name).split()
        for file in sorted(f for t in top for f in [*(site / t).rglob("*"), site / (t + ".py")]):
            if file.is_file() and file.suffix != ".pyc":
                add(str(file.relative_to(site)), file.read_bytes())
        head, _, text = (dist.read_text("METADATA") or dist.read_text("PKG-INFO")).partition("\n\n")
        head += "".join("\nRequires-Dist: " + n for n in needs.split(",") if n)  # Debian's metadata have none
        add(info + "METADATA", head + "\n\n" + text)
        add(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: koboshi\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        if entries := dist.read_text("entry_points.txt"):
            add(info + "entry_points.txt", entries)
        wheel.writestr(info + "RECORD", "".join(record) + info + "RECORD,,\n")
