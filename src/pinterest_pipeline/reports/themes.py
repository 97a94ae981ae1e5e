"""The colours of charts on a light and on a dark page, as Vega-Lite configurations."""

from collections.abc import Mapping
from typing import Any, Final


def _config(
    text: str, faint: str, colours: list[str], ramp: tuple[str, str], cell_text: tuple[str, str]
) -> dict[str, Any]:
    font = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif"
    quiet = {
        "labelColor": text,
        "titleColor": text,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 500,
    }
    return {
        "background": "transparent",
        "scale": {"rectBandPaddingInner": 0.05},
        "font": font,
        "view": {"stroke": None},
        "axis": quiet | {"gridColor": faint, "domainColor": faint, "tickColor": faint, "titlePadding": 8},
        "legend": quiet | {"orient": "top", "labelLimit": 300},
        "title": {"color": text, "fontSize": 13, "fontWeight": 500, "anchor": "start"},
        "range": {"category": colours, "heatmap": list(ramp), "ramp": list(ramp)},
        "style": {
            "figure": {"color": text, "fontSize": 12},
            "plain": {"color": colours[0]},
            "lead": {"color": colours[1]},
            "cell-low": {"color": cell_text[0], "fontSize": 13},
            "cell-high": {"color": cell_text[1], "fontSize": 13},
        },
    }


# Series colours keep a contrast of 3:1 or more to the page and differ in lightness for the colour-blind.
THEMES: Final[Mapping[str, dict[str, Any]]] = {
    "light": _config(
        "#24292f",
        "#d8dee4",
        ["#1f6fb4", "#c2570c", "#2a7f62", "#8a4fa3", "#8f6400", "#b03060", "#4d5b6a", "#00798c"],
        ("#eaf2fb", "#0b4a8f"),
        ("#10151b", "#ffffff"),
    ),
    "dark": _config(
        "#e6e9ed",
        "#3a424c",
        ["#6cb2f5", "#f2a65a", "#66c9a3", "#c79be0", "#e0c050", "#f08aa8", "#a9b7c6", "#5fd0e0"],
        ("#1b3148", "#a8d4ff"),
        ("#ffffff", "#0c1116"),
    ),
}
