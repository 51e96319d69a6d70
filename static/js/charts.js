// Pictures from data: <div class="chart" data-chart="id-of-json">. Baseline is always grey, the
// candidate always the accent, thresholds dashed. Every picture has its table beside it.
(() => {
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (role) => ({
    baseline: token("--baseline"), stable: token("--baseline"), candidate: token("--accent"),
    canary: token("--accent"),
  })[role];
  const okabe = (index) => token(`--series-${(index % 6) + 1}`);

  const traces = (data) => data.series.map((series, index) => ({
    x: data.x, y: series.y, name: series.name, type: "scatter", mode: "lines",
    connectgaps: false, line: { color: colour(series.role) || okabe(index), width: 1.75, shape: series.shape || "linear", dash: series.dash || "solid" },
    fill: series.fill ? "tozeroy" : "none",
    hovertemplate: `%{y:${data.hover || ".3~g"}}${data.unit ? " " + data.unit : ""}<extra>${series.name}</extra>`,
  }));

  const layout = (data) => {
    const ink = token("--ink-2");
    const line = token("--line");
    const limits = data.limits || [];
    return {
      margin: { l: 48, r: 10, t: 8, b: 26 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { size: 11, color: ink, family: token("--font") }, showlegend: false, hovermode: "x unified",
      hoverlabel: { bgcolor: token("--surface"), bordercolor: line, font: { color: token("--ink") } },
      xaxis: { type: data.xtype || "date", gridcolor: "rgba(0,0,0,0)", linecolor: line, tickcolor: line, nticks: 4, fixedrange: true },
      yaxis: { gridcolor: line, zerolinecolor: line, rangemode: "tozero", nticks: 4, ticksuffix: data.suffix || "", tickformat: data.tickformat || "", fixedrange: true, range: data.range },
      shapes: limits.map((limit) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: limit.y, y1: limit.y, line: { color: token("--failing"), width: 1, dash: "dash" } })),
      annotations: limits.map((limit) => ({ xref: "paper", x: 1, xanchor: "right", y: limit.y, yanchor: "bottom", text: limit.label, showarrow: false, font: { size: 10, color: ink } })),
    };
  };

  const draw = (element, data) => {
    element.chartData = data;
    return window.Plotly.react(element, traces(data), layout(data), { displayModeBar: false, responsive: true });
  };
  window.drawChart = (id, data) => {
    const element = document.querySelector(`[data-chart="${id}"]`);
    if (element && window.Plotly) draw(element, data);
  };

  const all = () => document.querySelectorAll("[data-chart]");
  const start = () => all().forEach((element) => {
    const source = document.getElementById(element.dataset.chart);
    if (source && window.Plotly) draw(element, JSON.parse(source.textContent));
  });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
  document.addEventListener("theme:changed", () => all().forEach((element) => element.chartData && draw(element, element.chartData)));
})();
