const grid = "rgba(128,136,150,0.25)";
const none = "rgba(0,0,0,0)";
for (const holder of document.querySelectorAll(".plot")) {
  const { data, layout } = JSON.parse(document.getElementById(holder.dataset.figure).textContent);
  delete layout.template;
  delete layout.title;  // it is the caption
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key)).concat("xaxis", "yaxis"))
    layout[name] = { automargin: true, gridcolor: grid, zeroline: false, ...layout[name] };
  const common = {
    autosize: true, height: layout.height ?? 340, margin: { l: 8, r: 12, t: 12, b: 8 },
    paper_bgcolor: none, plot_bgcolor: none, font: { family: "system-ui, sans-serif", size: 12 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
  };
  Plotly.newPlot(holder, data, { ...layout, ...common }, { responsive: true, displayModeBar: false });
}
