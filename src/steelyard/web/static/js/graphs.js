// Graphs of what was recorded: one for each figure, a line for each object, cursors and zoom shared.
"use strict";
(() => {
  const box = document.querySelector("[data-graphs]");
  if (!box) return;
  const peaks = document.querySelector("[data-peaks]");
  const TRAFFIC = [
    { title: "Requests per second", figures: ["requests_per_second"], unit: "" },
    { title: "New connections per second", figures: ["connections_per_second"], unit: "" },
    { title: "Throughput to clients", figures: ["bytes_out_per_second"], unit: "bit/s", factor: 8 },
    { title: "Throughput from clients", figures: ["bytes_in_per_second"], unit: "bit/s", factor: 8 },
    { title: "Open connections", figures: ["active_connections"], unit: "" },
  ];
  const HOST = [
    { title: "Processor", figures: ["processor_percent"], unit: "%", most: 100 },
    { title: "Memory", figures: ["memory_percent"], unit: "%", most: 100 },
    { title: "TLS handshakes per second", figures: ["tls_per_second"], unit: "" },
    { title: "Received by all interfaces", figures: ["received_bytes_per_second"], unit: "bit/s", factor: 8 },
    { title: "Sent by all interfaces", figures: ["sent_bytes_per_second"], unit: "bit/s", factor: 8 },
  ];
  const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const sync = uPlot.sync("graphs");
  let plots = [];
  let found = null;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const lineColour = (index) => colour(`--line-${index + 1}`);
  const said = (value, unit) => {
    if (value === null || value === undefined) return "–";
    const [size, prefix] = PREFIXES.find(([least]) => Math.abs(value) >= least) || [1, ""];
    const scaled = value / size;
    const digits = Number.isInteger(scaled) || Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
    const text = scaled.toFixed(digits).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
    return unit === "%" ? `${text}%` : `${text} ${prefix}${unit}`.trim();
  };
  const two = (number) => String(number).padStart(2, "0");
  // in 24 hours, as everywhere else; a day's begin is named by its date
  const moments = (_, ticks, __, ___, apart) =>
    ticks.map((tick) => {
      const at = new Date(tick * 1000);
      if (apart >= 86400 || (at.getHours() === 0 && at.getMinutes() === 0)) return `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
      const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
      return apart < 60 ? `${time}:${two(at.getSeconds())}` : time;
    });
  const figuresOf = (objects, graph, kind) =>
    objects.map((one) => {
      const values = graph.figures.map((figure) => one[kind][figure])[0];
      return values.map((value) => (value === null ? null : value * (graph.factor || 1)));
    });
  const known = (values) => values.filter((value) => value !== null);
  const summary = (graph, objects) => {
    const table = document.createElement("table");
    table.className = "figures";
    const head = table.createTHead().insertRow();
    for (const text of ["", "Last", "Average", "Peak"]) {
      const cell = document.createElement("th");
      cell.textContent = text;
      if (text) cell.className = "num";
      if (!text) cell.innerHTML = '<span class="for-readers">Object</span>';
      head.append(cell);
    }
    const body = table.createTBody();
    const means = figuresOf(objects, graph, "averages");
    const highest = figuresOf(objects, graph, "peaks");
    objects.forEach((one, index) => {
      const row = body.insertRow();
      const name = row.insertCell();
      const swatch = document.createElement("span");
      swatch.className = `swatch line-${index + 1}`;
      name.append(swatch, one.name);
      const values = known(means[index]);
      const sum = values.reduce((total, value) => total + value, 0);
      const cells = [
        values.length ? values[values.length - 1] : null,
        values.length ? sum / values.length : null,
        values.length ? known(highest[index]).reduce((most, value) => Math.max(most, value), 0) : null,
      ];
      for (const value of cells) {
        const cell = row.insertCell();
        cell.className = "num";
        cell.textContent = said(value, graph.unit);
      }
    });
    return table;
  };
  const drawOne = (graph, objects) => {
    const card = document.createElement("section");
    card.className = "card graph";
    const head = document.createElement("header");
    const title = document.createElement("h2");
    title.textContent = graph.title;
    head.append(title);
    const place = document.createElement("div");
    place.className = "plot";
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", `${graph.title} over the last ${found.span}; the figures are in the table below`);
    card.append(head, place, summary(graph, objects));
    box.append(card);
    return { graph, objects, card, place };
  };
  // once all cards have their places, and so their widths
  const plotOne = ({ graph, objects, card, place }) => {
    const kind = peaks.checked ? "peaks" : "averages";
    const times = Array.from({ length: found.steps }, (_, index) => found.first + index * found.step);
    const lines = figuresOf(objects, graph, kind);
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px Inter Variable, sans-serif" };
    const plot = new uPlot(
      {
        width: Math.max(place.clientWidth, 200),
        height: 200,
        legend: { show: false },
        cursor: { sync: { key: sync.key, setSeries: false }, drag: { x: true, y: false }, points: { size: 6 } },
        scales: { x: { time: true }, y: { range: (_, least, most) => [0, graph.most || (most > 0 ? most * 1.08 : 1)] } },
        axes: [{ ...axis, space: 64, values: moments }, { ...axis, size: 68, values: (_, ticks) => ticks.map((tick) => said(tick, graph.unit)) }],
        series: [
          {},
          ...objects.map((one, index) => ({
            label: one.name,
            stroke: lineColour(index),
            width: 1.5,
            fill: objects.length === 1 ? `color-mix(in srgb, ${lineColour(0)} 12%, transparent)` : undefined,
            points: { show: false },
            spanGaps: false,
          })),
        ],
        hooks: {
          setCursor: [(self) => tell(self, graph, objects, card)],
        },
      },
      [times, ...lines],
      place,
    );
    plots.push({ plot, place });
  };
  // what the cursor is on stands in the heading, so nothing floats over the graph
  const tell = (self, graph, objects, card) => {
    let note = card.querySelector(".under-cursor");
    if (!note) {
      note = document.createElement("span");
      note.className = "under-cursor sub push";
      card.querySelector("header").append(note);
    }
    const index = self.cursor.idx;
    if (index === null || index === undefined) {
      note.textContent = "";
      return;
    }
    const when = new Date(self.data[0][index] * 1000);
    const day = `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
    const at = `${found.step < 600 ? "" : `${day} `}${two(when.getHours())}:${two(when.getMinutes())}${found.step < 60 ? `:${two(when.getSeconds())}` : ""}`;
    note.textContent = `${at}: ${objects.map((one, line) => said(self.data[line + 1][index], graph.unit)).join(" · ")}`;
  };
  const draw = () => {
    for (const { plot } of plots) plot.destroy();
    plots = [];
    box.replaceChildren();
    const host = found.objects.filter((one) => "processor_percent" in one.averages);
    const others = found.objects.filter((one) => !host.includes(one));
    const cards = [];
    if (others.length) for (const graph of TRAFFIC) cards.push(drawOne(graph, others));
    if (host.length) for (const graph of HOST) cards.push(drawOne(graph, host));
    cards.forEach(plotOne);
  };
  const load = async () => {
    try {
      const answer = await fetch(box.dataset.graphs, { headers: { Accept: "application/json" } });
      if (answer.redirected || !answer.ok) throw new Error(answer.redirected ? "You are no longer signed in." : `Steelyard answered ${answer.status}.`);
      found = await answer.json();
      draw();
      box.dataset.drawn = String(plots.length);
    } catch (failure) {
      if (found) return;
      const note = document.createElement("div");
      note.className = "empty failed";
      note.textContent = `The figures could not be loaded. ${failure.message}`;
      box.replaceChildren(note);
    }
  };
  const resize = () => {
    for (const { plot, place } of plots) plot.setSize({ width: Math.max(place.clientWidth, 200), height: 200 });
  };
  peaks.addEventListener("change", () => found && draw());
  document.addEventListener("steelyard:theme", () => found && draw());
  addEventListener("resize", resize);
  load();
  setInterval(() => {
    const zoomed = plots.some(({ plot }) => plot.scales.x.min > plot.data[0][0] || plot.scales.x.max < plot.data[0][plot.data[0].length - 1]);
    if (found && !document.hidden && !zoomed && found.step < 600) load();
  }, 30000);
})();
