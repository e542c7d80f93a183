// Cost against quality. A chart is drawn from the board's table when its part is opened; Python has said who is on the front.
const SVG = "http://www.w3.org/2000/svg";
const node = (name, attributes, ...inside) => {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.append(...inside);
  return made;
};
const roundStep = (step) => {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].map((m) => m * power).find((s) => s >= step * 0.999);
};
const short = (value) => (Math.abs(value) >= 1000 ? `${Number((value / 1000).toPrecision(3))}k` : String(Number(value.toPrecision(3))));

// The points of a chart: the rows with a score and the cost, without references other than the lower and the upper one.
const pointsOf = (part, cost) => {
  const table = part.closest("section").querySelector("table.board");
  const column = (name) => table.querySelector(`th[data-column="${name}"]`).cellIndex;
  const [x, y] = [column(cost), column("score")];
  const front = all(`[data-front="${cost}"] .label`, part).map((label) => label.textContent);
  const number = (cell, key = "v") => (cell.dataset[key] === undefined ? null : Number(cell.dataset[key]));
  return [...table.tBodies[0].rows]
    .filter((row) => row.dataset.scale !== undefined || !row.classList.contains("reference"))
    .map((row) => {
      const label = row.querySelector(".label").textContent;
      const role = ["upper", "lower"].find((name) => row.querySelector(`.tag.${name}`)) || "";
      const [price, score] = [row.cells[x], row.cells[y]];
      return {
        label, role, id: row.id, cost: number(price), score: number(score), low: number(score, "low"), high: number(score, "high"),
        said: `${label}: ${score.textContent.trim()} at ${price.textContent.trim()}`, on: front.includes(label),
      };
    })
    .filter((point) => point.cost !== null && point.score !== null);
};

const draw = (part) => {
  const select = part.querySelector("select");
  const points = pointsOf(part, select.value);
  const [width, height, left, right, top, bottom] = [Math.max(560, Math.min(880, part.clientWidth)), 350, 56, 150, 28, 44];
  const costs = points.map((point) => point.cost).filter((value) => value > 0);
  const [cheapest, dearest] = [Math.min(...costs), Math.max(...costs)];
  const logs = dearest / cheapest > 20;
  const scale = (value) => (logs ? Math.log10(Math.max(value, cheapest)) : value);
  const [first, last] = logs ? [scale(cheapest), scale(dearest)] : [0, dearest];
  const x = (value) => left + ((scale(value) - first) / (last - first || 1)) * (width - left - right);
  const scores = points.map((point) => point.score);
  const pad = 0.08 * (Math.max(...scores) - Math.min(...scores)) || 0.01;
  const [low, high] = [Math.min(...scores) - pad, Math.max(...scores) + pad];
  const flip = part.dataset.lower !== undefined;
  const y = (value) => {
    const share = (Math.min(Math.max(value, low), high) - low) / (high - low);
    return top + (flip ? share : 1 - share) * (height - top - bottom);
  };
  const shown = part.dataset.unit === "%" ? 100 : 1;
  const title = select.selectedOptions[0].textContent;
  const chart = node("svg", { width, height, role: "group", "aria-label": `${part.dataset.score} against ${title}` });
  chart.append(node("text", { x: left, y: 11 }, `${part.dataset.score}${flip ? ": low numbers, which are better, stand above" : ""}`));
  const step = roundStep((high - low) / 5);
  for (let k = Math.ceil(low / step); k * step <= high; k += 1) {
    chart.append(node("line", { class: "grid", x1: left, x2: width - right, y1: y(k * step), y2: y(k * step) }));
    chart.append(node("text", { x: left - 8, y: y(k * step) + 4, "text-anchor": "end" }, short(k * step * shown)));
  }
  const marks = [];
  if (logs) for (let k = Math.ceil(first - 1e-9); k <= last + 1e-9; k += 1) marks.push(10 ** k);
  else for (let k = 0, by = roundStep(last / 5); k * by <= last; k += 1) marks.push(k * by);
  marks.forEach((value) => {
    chart.append(node("line", { class: "tick", x1: x(value), x2: x(value), y1: height - bottom, y2: height - bottom + 5 }));
    chart.append(node("text", { x: x(value), y: height - bottom + 18, "text-anchor": "middle" }, short(value)));
  });
  chart.append(node("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, `${title}${logs ? ", on a logarithmic scale" : ""}`));
  const front = points.filter((point) => point.on).sort((a, b) => a.cost - b.cost);
  const path = front.map((point, i) => (i ? `H${x(point.cost)}V${y(point.score)}` : `M${x(point.cost)} ${y(point.score)}`)).join("");
  if (front.length) chart.append(node("path", { class: "front", d: `${path}H${width - right}` }));
  const taken = [];
  const named = (point) => point.on || point.role;
  [...points].sort((a, b) => Boolean(named(a)) - Boolean(named(b))).forEach((point) => {
    const [px, py] = [x(point.cost), y(point.score)];
    const mark = node("a", { href: `#${point.id}`, class: `${point.on ? "on" : ""} ${point.role}`, "aria-label": `${point.said} ${title}${point.on ? ", on the front" : ""}` });
    mark.append(node("title", {}, `${point.said} ${title}`));
    if (point.low !== null) mark.append(node("line", { class: "interval", x1: px, x2: px, y1: y(point.low), y2: y(point.high) }));
    mark.append(node("circle", { class: "dot", cx: px, cy: py, r: named(point) ? 5 : 3.5 }));
    let at = py - 7;
    if (named(point)) {
      while (taken.some(([tx, ty, long]) => Math.abs(ty - at) < 12 && tx < px + 9 + 7 * point.label.length && px + 9 < tx + long)) at += 12;
      taken.push([px + 9, at, 7 * point.label.length]);
    }
    mark.append(node("text", { x: px + 9, y: at, visibility: named(point) ? "visible" : "hidden" }, point.label));
    chart.append(mark);
  });
  part.querySelector(".scroll").replaceChildren(chart);
};
all(".pareto").forEach((part) => {
  part.querySelector(".choose").hidden = false;
  part.querySelector("select").addEventListener("change", () => draw(part));
  part.addEventListener("toggle", () => { if (part.open) draw(part); });
});
