"""Figures as SVG inside the page: its colours and its font, ids of their own, nothing that points outside."""

from __future__ import annotations

import io
import re

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from bench.report.style import INK, LINE, MUTED, PAPER, SERIES, styled

VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", PAPER: "--paper"} | {
    colour: f"--series-{index}" for index, colour in enumerate(SERIES)
}


def inline_svg(figure: Figure, name: str, alt: str) -> Markup:
    """Return a figure as an SVG element.

    Args:
        figure: drawn by bench.report.plots.
        name: of the figure in the page, unique there.
        alt: what it shows, for those who don't see it.
    """
    text = io.StringIO()
    with styled():
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawn = text.getvalue()
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn[drawn.index("<svg") :], flags=re.DOTALL)
    inner = drawn[drawn.index(">") + 1 :]
    box = re.search(r'viewBox="([^"]+)"', drawn)
    assert box is not None
    for colour, variable in VARIABLES.items():
        inner = inner.replace(colour, f"var({variable})")
    inner = re.sub(r'(<[^>]*\bid=")([^"]+)"', rf'\g<1>{name}-\g<2>"', inner)
    inner = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", inner)
    inner = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', inner)
    inner = re.sub(r"font-family: [^;\"]+", "font-family: var(--sans)", inner)
    inner = re.sub(r"<style.*?</style>", "", inner, flags=re.DOTALL)
    width = float(box[1].split()[2])
    return Markup(
        f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(alt)}" style="max-width:{width:.0f}pt">{inner}'
    )
