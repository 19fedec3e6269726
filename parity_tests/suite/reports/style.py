"""The look of the HTML page: light and dark, from a telephone's width on, and on paper.

The colours of the verdicts differ in lightness as well as in hue, and keep a contrast of 4.5 with the page, so that
letters can have them too. Sources: WCAG 2.2, 1.4.3 (contrast) and 1.4.1 (never colour alone).
"""

LIGHT = {
    "page": "#fbfaf7",
    "card": "#ffffff",
    "ink": "#1d2126",
    "soft": "#5b6470",
    "line": "#dcdbd4",
    "lane": "#ecebe5",
    "allowed": "#cfd8d3",
    "pass": "#0b6e4f",
    "rounding": "#1f5fa8",
    "suspect": "#8a5300",
    "fail": "#b3201f",
    "skipped": "#626a74",
    "xfail": "#7a3a94",
}
DARK = {
    "page": "#14171a",
    "card": "#1b1f23",
    "ink": "#e8e6e1",
    "soft": "#a3abb5",
    "line": "#343a41",
    "lane": "#272c31",
    "allowed": "#3a4743",
    "pass": "#5cc79b",
    "rounding": "#7db4f2",
    "suspect": "#f0b354",
    "fail": "#ff8078",
    "skipped": "#9aa3ad",
    "xfail": "#d09be6",
}
VERDICTS = ("pass", "rounding", "suspect", "fail", "skipped", "xfail")


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


STYLE = (
    f"""
:root{{color-scheme:light dark;{_variables(LIGHT)}}}
@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}
{"".join(f".{verdict}{{--c:var(--{verdict})}}" for verdict in VERDICTS)}
"""
    + """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,"Liberation Sans","DejaVu Sans",sans-serif}
main{max-width:960px;margin:0 auto;padding:32px 20px 64px;overflow-x:clip}
h1{font-size:30px;line-height:1.2;margin:0;overflow-wrap:anywhere}
h2{font-size:19px;line-height:1.3;margin:40px 0 12px}
h3{font-size:16px;margin:0;overflow-wrap:anywhere}
p{margin:8px 0;overflow-wrap:anywhere}
code,pre{font:13px/1.5 ui-monospace,"DejaVu Sans Mono",monospace}
.soft,.facts dt{color:var(--soft)}
.judgement{font-size:18px}
.ladder{display:grid;grid-template-columns:repeat(7,1fr);gap:6px;list-style:none;margin:20px 0 12px;padding:0}
.ladder li{background:var(--card);border:1px solid var(--line);border-top:4px solid var(--c);border-radius:6px;
padding:8px 10px;font-size:13px;line-height:1.35;display:flex;flex-direction:column;gap:2px}
.ladder b{font-size:16px;display:flex;justify-content:space-between;align-items:center}
.ladder .state{margin-top:auto;padding-top:4px;color:var(--c);font-weight:600}
.chips{display:flex;flex-wrap:wrap;gap:6px 18px;list-style:none;margin:12px 0;padding:0}
.chips li,.verdict{display:inline-flex;align-items:center;gap:6px;color:var(--c);font-weight:600;white-space:nowrap}
.chips .bound{color:var(--soft);font-weight:400}
.mark{width:14px;height:14px;flex:none}
.mark,.dot{fill:var(--c);overflow:visible}
.stroke{fill:none;stroke:var(--c);stroke-width:2.5;stroke-linecap:round}
.dot{stroke:var(--page);stroke-width:1}
.dot .stroke{stroke:var(--c)}
.chart{display:block;overflow:visible}
.chart text{font-size:12px;fill:var(--ink);stroke:var(--page);stroke-width:4px;paint-order:stroke}
.chart .name{font-family:ui-monospace,"DejaVu Sans Mono",monospace}
.chart .decade{fill:var(--soft);text-anchor:middle}
.chart .numbers{fill:var(--soft);text-anchor:end;font-variant-numeric:tabular-nums}
.chart .level{font-weight:700;font-size:13px}
.grid{stroke:var(--line)}
.lane{fill:var(--lane)}
.allowed{fill:var(--allowed)}
.tick{stroke:var(--ink);stroke-width:2}
.diagnosis{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--fail);border-radius:6px;
padding:14px 18px;margin:20px 0}
.diagnosis h2{margin:0 0 6px}
.diagnosis ol{margin:0;padding-left:22px}
.diagnosis li{overflow-wrap:anywhere}
.diagnosis li:first-child{font-weight:600}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;vertical-align:top;padding:8px 10px 8px 0;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--soft);font-size:13px}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tr.level th{color:var(--ink);font-size:14px;padding-top:20px}
td .soft,.note{display:block;font-size:13px;line-height:1.4;overflow-wrap:anywhere}
td code{overflow-wrap:anywhere}
.fault{background:var(--card);border:1px solid var(--line);border-left:4px solid var(--c);border-radius:6px;
padding:14px 18px;margin:14px 0}
.fault header{display:flex;flex-wrap:wrap;gap:4px 14px;align-items:baseline}
.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 16px;margin:10px 0;font-size:14px}
.facts dd{margin:0;overflow-wrap:anywhere}
pre{background:var(--lane);border-radius:6px;padding:12px 14px;overflow-x:auto;margin:10px 0 0}
a{color:inherit}
:target{outline:2px solid var(--rounding);outline-offset:3px}
@media (max-width:720px){
main{padding:20px 14px 48px}
h1{font-size:24px}
.ladder{grid-template-columns:1fr}
.ladder li{border-top-width:1px;border-left:4px solid var(--c);padding:5px 10px;display:grid;
grid-template-columns:52px 1fr max-content;gap:8px;align-items:baseline}
.ladder .state{padding:0}
.chart .numbers{display:none}
table,tbody,tr,td,tr.level th{display:block}
thead{display:none}
tr{border-bottom:1px solid var(--line);padding:8px 0}
tr.level{border-bottom:0;padding-bottom:0}
th,td{border:0;padding:1px 0}
td.n{display:inline-block;margin-right:14px;text-align:left}
td.n::before{content:attr(data-label) " ";color:var(--soft)}
td.n.none{display:none}
.facts{grid-template-columns:1fr;gap:0}
.facts dd{margin-bottom:6px}
}
@media print{body{background:#fff}.fault,.diagnosis,.ladder li,tr{break-inside:avoid}pre{white-space:pre-wrap}}
"""
)
