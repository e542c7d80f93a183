"use strict";
// Tables sort and filter, headings explain themselves, links into folded parts open them. No page needs it to be read.
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
document.documentElement.classList.add("js");

// Sorting: a click or Enter on a heading; best first, then reversed, then as it was.
const valueOf = (row, column) => {
  const cell = row.cells[column];
  if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
  return cell.classList.contains("l") ? cell.textContent.trim().toLowerCase() : null;
};
const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
const sort = (button) => {
  const head = button.closest("th");
  const body = head.closest("table").tBodies[0];
  const first = head.dataset.first || "ascending";
  const second = first === "ascending" ? "descending" : "ascending";
  const was = head.getAttribute("aria-sort");
  const next = was === first ? second : was === second ? null : first;
  all("[aria-sort]", head.parentNode).forEach((other) => other.removeAttribute("aria-sort"));
  const rows = [...body.rows];
  rows.forEach((row, place) => { row.dataset.place ??= place; });
  if (next) head.setAttribute("aria-sort", next);
  const sign = next === "descending" ? -1 : 1;
  const keyed = rows.map((row) => [next ? valueOf(row, head.cellIndex) : null, Number(row.dataset.place), row]);
  keyed.sort(([a, i], [b, j]) => (a === null) - (b === null) || (a === null ? 0 : sign * order(a, b)) || i - j);
  body.append(...keyed.map(([, , row]) => row));
};
document.addEventListener("click", (event) => {
  const button = event.target.closest(".sort");
  if (button) sort(button);
});

// Help: the title of a heading, shown at once on hover and on focus.
const tip = Object.assign(document.createElement("div"), { id: "tip", hidden: true });
tip.setAttribute("role", "tooltip");
document.body.append(tip);
const show = (event) => {
  const about = event.target.closest?.("[data-help]");
  tip.hidden = !about;
  if (!about) return;
  tip.textContent = about.dataset.help;
  const box = about.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
  const below = box.bottom + 6;
  tip.style.top = `${below + tip.offsetHeight < innerHeight ? below : box.top - tip.offsetHeight - 6}px`;
};
all("[data-help]").forEach((about) => { about.setAttribute("aria-description", about.dataset.help); about.removeAttribute("title"); });
["mouseover", "focusin"].forEach((name) => document.addEventListener(name, show));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
document.addEventListener("scroll", () => { tip.hidden = true; }, true);

// Filters: rows say what they are in data-* attributes; a box without a row that is left is hidden.
const form = document.querySelector(".filter");
const matches = (row, wanted) =>
  wanted.every(([name, value]) => {
    if (name === "q") {
      row.dataset.text ??= `${row.textContent} ${row.dataset.more || ""}`.toLowerCase();
      return value.toLowerCase().split(/\s+/).every((word) => row.dataset.text.includes(word));
    }
    return row.dataset[name] === undefined || row.dataset[name].split(" ").includes(value);
  });
const filter = () => {
  const wanted = [...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
  const boxes = all("[data-box]");
  let rows = 0, seen = 0, open = 0;
  boxes.forEach((box) => {
    const own = wanted.filter(([name]) => box.dataset[name] !== undefined && name !== "q");
    const fits = own.every(([name, value]) => box.dataset[name] === value);
    let left = 0;
    all("[data-row]", box).forEach((row) => {
      const here = fits && (row.dataset.scale !== undefined && !wanted.some(([name]) => name === "q") ? null : matches(row, wanted));
      row.hidden = here === false;
      rows += 1;
      left += here === true;
    });
    box.hidden = wanted.length > 0 && !left;
    open += !box.hidden;
    seen += left;
  });
  all("[data-follows]").forEach((row) => {
    row.hidden = document.getElementById(row.dataset.follows)?.hidden ?? false;
  });
  form.querySelector("output").textContent = wanted.length ? `${seen} of ${rows} ${form.dataset.what} left` : "";
  form.querySelector("button").hidden = !wanted.length;
};
if (form) {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  const asked = new URLSearchParams(location.hash.startsWith("#q=") ? location.hash.slice(1) : "").get("q");
  if (asked) form.elements.q.value = asked;
  filter();
}

// Links into folded parts.
const unfold = () => {
  const name = decodeURIComponent(location.hash.slice(1));
  const target = name && document.getElementById(name);
  if (!target) return;
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  target.scrollIntoView();
};
addEventListener("hashchange", unfold);
unfold();
