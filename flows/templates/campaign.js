"use strict";
(() => {
  const page = document.getElementById("page"), body = document.getElementById("rows");
  if (!body) return;
  const at = id => document.getElementById(id);
  const names = Array.from(at("head").rows[0].cells, cell => cell.dataset.c);
  // what a row says is read when it is first asked for: the page is there sooner
  class Row {
    constructor(tr) { this.tr = tr; this.key = tr.dataset.k; }
    get values() {
      const values = {};
      names.forEach((name, i) => { if (name) values[name] = this.tr.cells[i].dataset.v || ""; });
      Object.defineProperty(this, "values", { value: values });
      return values;
    }
    get text() {
      const text = this.tr.textContent.toLowerCase();
      Object.defineProperty(this, "text", { value: text });
      return text;
    }
  }
  const rows = Array.from(body.rows, tr => new Row(tr));
  const grades = JSON.parse(at("grades").textContent), place = "fitcore grades of " + page.dataset.store;
  let given = {}, shown = rows.slice(), current = null, isKept = true;
  try { given = JSON.parse(localStorage.getItem(place) || "{}") || {}; } catch (error) { isKept = false; }
  if (typeof given !== "object") given = {};
  const grade = row => (given[row.key] || [""])[0];

  function keep() {
    try { localStorage.setItem(place, JSON.stringify(given)); } catch (error) { isKept = false; }
    at("unkept").hidden = isKept;
  }
  function told() {
    const n = rows.filter(grade).length;
    at("count").textContent = shown.length === rows.length ? rows.length.toLocaleString("en") + " rows"
      : shown.length.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " rows";
    at("graded").textContent = n ? n.toLocaleString("en") + " graded" : "";
    at("save").disabled = !n;
    at("nothing").hidden = shown.length > 0;
  }
  function filter() {
    const words = at("words").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const picked = Array.from(document.querySelectorAll("select[data-c]"), s => [s.dataset.c, s.value]).filter(p => p[1] !== "");
    const column = at("column") ? at("column").value : "";
    const least = at("least") && at("least").value !== "" ? Number(at("least").value) : -Infinity;
    const most = at("most") && at("most").value !== "" ? Number(at("most").value) : Infinity;
    const isRange = column && (least !== -Infinity || most !== Infinity);
    shown = [];
    for (const row of rows) {
      const value = row.values[column];
      const isIn = words.every(word => row.text.includes(word)) &&
        picked.every(([c, v]) => (c === "given" ? grade(row) || "none" : row.values[c]) === v) &&
        (!isRange || (value !== undefined && value !== "" && Number(value) >= least && Number(value) <= most));
      if (row.tr.hidden === isIn) row.tr.hidden = !isIn;
      if (isIn) shown.push(row);
    }
    if (current && current.tr.hidden) point(null);
    told();
  }
  function sort(head) {
    const column = head.dataset.c, isNumber = head.classList.contains("right");
    const isDown = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
    const value = row => column === "given" ? grade(row) : row.values[column] || "";
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    const keyed = rows.map((row, i) => [value(row), row, i]);
    keyed.sort((a, b) => {
      if (a[0] === "" || b[0] === "") return (a[0] === "") - (b[0] === "") || a[2] - b[2];
      const order = isNumber ? Number(a[0]) - Number(b[0]) : compare(a[0], b[0]);
      return (isDown ? -order : order) || a[2] - b[2];
    });
    const all = document.createDocumentFragment();
    keyed.forEach(([, row], i) => { rows[i] = row; all.appendChild(row.tr); });
    body.appendChild(all);
    shown = rows.filter(row => !row.tr.hidden);
  }
  function show(row) { row.tr.querySelector(".given").textContent = (grades.find(g => g.word === grade(row)) || { title: grade(row) }).title; }
  function point(row) {
    if (current) current.tr.classList.remove("now");
    current = row;
    at("bar").hidden = !row;
    document.body.classList.toggle("grading", !!row);
    if (!row) return;
    row.tr.classList.add("now");
    const picture = row.tr.querySelector("img"), large = at("large");
    large.hidden = !picture;
    at("report").disabled = !row.tr.querySelector("th a");
    if (picture) { large.src = picture.src; large.alt = picture.alt; }
    at("which").textContent = row.values.name + (row.values.verdict ? " \u2013 " + row.values.verdict : "");
    at("why").textContent = row.tr.querySelector("small") ? row.tr.querySelector("small").textContent : "";
    for (const button of at("keys").children) button.setAttribute("aria-pressed", String(button.dataset.word === grade(row) && grade(row) !== ""));
    const box = row.tr.getBoundingClientRect();
    if (box.top < 40 || box.bottom > innerHeight - at("bar").offsetHeight - 10) row.tr.scrollIntoView({ block: "center" });
  }
  function step(by) {
    const i = current ? shown.indexOf(current) + by : (by > 0 ? 0 : shown.length - 1);
    if (shown[i]) point(shown[i]);
  }
  function give(word) {
    if (!current) return;
    const row = current;
    if (word) given[row.key] = [word, new Date().toISOString()]; else delete given[row.key];
    keep(); show(row); told();
    if (word) { const i = shown.indexOf(row); point(shown[i + 1] || row); } else point(row);
  }
  function report() {
    const link = current && current.tr.querySelector("th a");
    if (link) open(link.href, "_blank", "noopener");
  }
  function csv() {
    const quoted = text => /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
    const lines = ["name,pipeline,grade,time"];
    for (const row of rows) {
      const one = given[row.key];
      if (one) lines.push([row.tr.dataset.n, row.tr.dataset.p, one[0], one[1]].map(quoted).join(","));
    }
    return lines.join("\r\n") + "\r\n";
  }
  function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = "grades.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  let timer = 0;
  at("tools").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, 60); });
  at("tools").addEventListener("submit", event => event.preventDefault());
  at("tools").addEventListener("reset", () => setTimeout(filter, 0));
  at("head").addEventListener("click", event => { const head = event.target.closest("th[data-c]"); if (head) sort(head); });
  body.addEventListener("click", event => {
    const tr = event.target.closest("tr");
    if (tr && !event.target.closest("a")) point(rows.find(row => row.tr === tr));
  });
  at("keys").addEventListener("click", event => { const button = event.target.closest("button"); if (button) give(button.dataset.word); });
  at("save").addEventListener("click", save);
  at("begin").addEventListener("click", () => point(shown.find(row => !grade(row)) || shown[0] || null));
  at("back").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
  at("report").addEventListener("click", report);
  at("close").addEventListener("click", () => point(null));
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const key = event.key, found = grades.find(g => g.key === key);
    if (key === "j" || (current && key === "ArrowDown")) step(1);
    else if (key === "k" || (current && key === "ArrowUp")) step(-1);
    else if (!current) return;
    else if (found) give(found.word);
    else if (key === "Backspace" || key === "Delete") give("");
    else if (key === "Escape") point(null);
    else if (key === "Enter" && event.target.tagName !== "BUTTON") report();
    else return;
    event.preventDefault();
  });
  rows.forEach(row => { if (grade(row)) show(row); });
  keep();
  if (document.querySelector("#tools :is(input, select):not(#column)") && Array.from(at("tools").elements).some(e => e.id !== "column" && e.value)) filter();
  else told();
})();
