"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const sections = [...document.querySelectorAll("section[data-image]")];

// Rows as the table has them: image by image, check by check.
const rows = [];
data.images.forEach((image, group) => {
  image.checks.forEach((check) => rows.push({ image, check, group }));
});
const bodies = sections.map((section) => section.querySelector("tbody"));
let first = 0;
sections.forEach((section, group) => {
  section.first = first;
  first += data.images[group].checks.length;
});

// --- addresses ---------------------------------------------------------------

const encode = (part) =>
  [...new TextEncoder().encode(part)]
    .map((byte) => {
      const letter = String.fromCharCode(byte);
      return byte < 128 && /[\w.:+=@,~-]/.test(letter)
        ? letter
        : "%" + byte.toString(16).toUpperCase().padStart(2, "0");
    })
    .join("");
const address = (...parts) => "#" + parts.map(encode).join("/");

function place(td) {
  const section = td.closest("section");
  const row = td.parentNode.sectionRowIndex;
  return { group: sections.indexOf(section), row: section.first + row, column: td.cellIndex - 1 };
}

function tdAt(row, column) {
  const { group } = rows[row];
  return bodies[group].rows[row - sections[group].first].cells[column + 1];
}

// --- details -----------------------------------------------------------------

const dialog = byId("details");
let opener = null;

function element(name, text, children = []) {
  const made = document.createElement(name);
  if (text !== null && text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

function list(pairs) {
  const dl = document.createElement("dl");
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    dl.append(element("dt", name), element("dd", String(value)));
  }
  return dl;
}

function block(title, text) {
  if (!text) return [];
  const pre = element("pre", text);
  pre.tabIndex = 0;
  pre.setAttribute("aria-label", title);
  return [element("h3", title), pre];
}

// What a shell needs no quotes for stays as it is.
const quote = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\\''") + "'");

function cellDetails(row, column) {
  const { image, check } = rows[row];
  const kernel = data.kernels[column];
  const index = data.cells[row][column];
  const added = check.capabilities ?? [];
  const options = added.flatMap((name) => ["--cap-add", name]);
  const again = ["matrix", "try", kernel.id, image.id, ...options, "--", ...check.command].map(quote).join(" ");
  if (index < 0) return [element("p", "The record lacks this cell: it says nothing.")];
  const cell = data.details[index];
  const time = data.times[row][column];
  const body = [
    list([
      ["Outcome", [cell.label, cell.detail && `(${cell.detail})`].filter(Boolean).join(" ")],
      ["Verdict", cell.verdict],
      ["Expected", cell.expected && [cell.expected, cell.because].filter(Boolean).join(": ")],
      ["Time", time < 0 ? null : `${time} ms`],
      ["Kernel", [kernel.id, kernel.release].filter(Boolean).join(", ")],
      ["Image", [image.id, image.digest].filter(Boolean).join(", ")],
      ["Runtime", cell.runtime],
      ["Command", check.command.map(quote).join(" ")],
      ["Capabilities", added.length ? `docker's 14 and ${added.join(", ")}` : null],
    ]),
    ...block("Run it again", again),
  ];
  if (cell.cause) {
    body.push(element("h3", `Cause: ${cell.cause.name}`), element("p", cell.cause.explanation));
    if (cell.cause.remedy) body.push(element("p", `Hint: ${cell.cause.remedy}`));
    body.push(...block("Evidence", (cell.cause.evidence || []).join("\n")));
  }
  cell.attempts.forEach((attempt, number) => {
    if (cell.attempts.length > 1) {
      body.push(element("h3", `Attempt ${number + 1}: ${attempt.label} (${attempt.verdict}, ${attempt.start})`));
    }
    body.push(
      ...block("stdout", attempt.stdout),
      ...block("stderr", attempt.stderr),
      ...block("Kernel log", attempt.kernel_log.join("\n")),
      ...block("Outlived the container", attempt.survivors.join("\n")),
      ...block("Noticed besides", attempt.noticed.map((it) => it.what).join("\n")),
      ...block("Looked at, without finding the cause", attempt.examined.join("\n")),
      ...(attempt.trace ? block(`Again under ptrace: ${attempt.trace.outcome.kind}`, attempt.trace.steps.join("\n")) : []),
    );
    if (attempt.dropped) body.push(element("p", `${attempt.dropped} bytes of output were dropped.`));
  });
  body.push(...strip(kernel.id, image.id, check.name));
  return body;
}

function strip(kernel, image, check) {
  if (!data.past.length) return [];
  const ul = document.createElement("ul");
  ul.className = "strip";
  for (const run of data.past) {
    const column = run.kernels.findIndex((it) => it.id === kernel);
    const past = run.images.find((it) => it.id === image);
    const row = past ? past.checks.indexOf(check) : -1;
    const letter = column >= 0 && row >= 0 ? [...past.cells[row]][column] : "?";
    const outcome = run.legend[letter];
    const item = element("li", outcome ? outcome.label : "–");
    item.title = `${run.started}: ${outcome ? outcome.label + ", " + outcome.verdict : "no such cell"}`;
    if (outcome && outcome.verdict.startsWith("unexpected")) item.className = "u";
    else if (!outcome || outcome.verdict === "not-run") item.className = "n";
    else if (outcome.verdict === "flaky") item.className = "y";
    ul.append(item);
  }
  return [element("h3", `Runs before this one, oldest first (${data.past.length})`), ul];
}

function flat(value, prefix = "") {
  return Object.entries(value || {}).flatMap(([name, part]) =>
    part !== null && typeof part === "object" && !Array.isArray(part)
      ? flat(part, `${prefix}${name}.`)
      : [[prefix + name, Array.isArray(part) ? part.join(" ") : part]],
  );
}

function kernelDetails(kernel) {
  return [
    list([
      ["Status", kernel.status],
      ["Reason", kernel.reason],
      ["Release", kernel.release],
      ["Notes", kernel.notes],
      ["Boot", kernel.boots_ms.map((time) => `${time} ms`).join(", ")],
      ...flat(kernel.package, "package."),
      ["Command line", kernel.command_line],
      ...flat(kernel.settings),
    ]),
    element("h3", "Facts"),
    list(flat(kernel.facts)),
  ];
}

function imageDetails(image) {
  return [
    list([["Reason", image.reason], ["Digest", image.digest], ...flat(image.source)]),
    element("h3", "Checks"),
    list(image.checks.map((check) => [check.name, check.command.map(quote).join(" ")])),
  ];
}

function show(title, body) {
  byId("details-title").textContent = title;
  byId("details-body").replaceChildren(...body);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

// The address says what is open; one that names nothing opens nothing.
function follow() {
  let parts;
  try {
    parts = location.hash.slice(1).split("/").map(decodeURIComponent);
  } catch {
    parts = [];
  }
  if (parts.length === 2 && parts[0] === "kernel") {
    const kernel = data.kernels.find((it) => it.id === parts[1]);
    if (kernel) return show(`Kernel ${kernel.id}`, kernelDetails(kernel));
  }
  if (parts.length === 2 && parts[0] === "image") {
    const image = data.images.find((it) => it.id === parts[1]);
    if (image) return show(`Image ${image.id}`, imageDetails(image));
  }
  if (parts.length === 3) {
    const column = data.kernels.findIndex((it) => it.id === parts[0]);
    const row = rows.findIndex((it) => it.image.id === parts[1] && it.check.name === parts[2]);
    if (column >= 0 && row >= 0) {
      opener = tdAt(row, column);
      return show(parts.join(" × "), cellDetails(row, column));
    }
  }
  if (dialog.open) dialog.close();
}
addEventListener("hashchange", follow);
dialog.addEventListener("close", () => {
  history.replaceState(null, "", location.pathname + location.search);
  if (opener) opener.focus();
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

// --- the grid: one stop for the tab key, arrows inside -------------------------

let active = null;
function activate(td, focus) {
  if (active) active.tabIndex = -1;
  active = td;
  td.tabIndex = 0;
  if (focus) td.focus();
}
for (const body of bodies) {
  const td = body.querySelector("td");
  if (td) td.tabIndex = 0;
}
function open(td) {
  const { row, column } = place(td);
  const { image, check } = rows[row];
  opener = td;
  location.hash = address(data.kernels[column].id, image.id, check.name);
  follow();
}
byId("matrix").addEventListener("click", (event) => {
  const td = event.target.closest("[data-image] tbody td");
  if (td) {
    activate(td, true);
    open(td);
  }
});
const visible = (it) => it && it.offsetParent !== null;
byId("matrix").addEventListener("keydown", (event) => {
  const td = event.target.closest("[data-image] tbody td");
  if (!td) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    activate(td, false);
    return open(td);
  }
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const ends = { Home: 0, End: data.kernels.length - 1 };
  let { row, column } = place(td);
  if (event.key in ends) {
    event.preventDefault();
    return activate(tdAt(row, ends[event.key]), true);
  }
  if (!(event.key in steps)) return;
  event.preventDefault();
  const [down, right] = steps[event.key];
  for (;;) {
    row += down;
    column += right;
    if (row < 0 || row >= rows.length || column < 0 || column >= data.kernels.length) return;
    const next = tdAt(row, column);
    if (visible(next)) return activate(next, true);
  }
});

// --- filters -------------------------------------------------------------------

const fields = ["images", "kernels", "outcome", "expectation"].map(byId);
const words = (text) => text.toLowerCase().split(/[\s,]+/).filter(Boolean);
const has = (wanted, name) => !wanted.length || wanted.some((word) => name.toLowerCase().includes(word));

function matches(td, outcome, expectation) {
  const classes = td.classList;
  const flags = { unexpected: "u", flaky: "y", "not-run": "n", changed: "c" };
  if (expectation === "expected" && (classes.contains("u") || classes.contains("y") || classes.contains("n"))) return false;
  if (expectation in flags && !classes.contains(flags[expectation])) return false;
  if (!outcome) return true;
  return outcome === "pass" ? td.textContent.endsWith("pass") : classes.contains(outcome);
}

function filter() {
  const [images, kernels, outcome, expectation] = fields.map((field) => field.value);
  const shownColumns = data.kernels.map((kernel) => has(words(kernels), kernel.id));
  byId("columns").textContent = shownColumns
    .map((shown, column) => (shown ? "" : `section tr > :nth-child(${column + 2}) { display: none }`))
    .join("\n");
  const root = byId("matrix");
  root.dataset.expectation = expectation;
  root.dataset.outcome = outcome;
  let shownCells = 0;
  const every = !outcome && !expectation;
  sections.forEach((section, group) => {
    let shownRows = 0;
    if (has(words(images), section.dataset.image)) {
      for (const tr of bodies[group].rows) {
        let found = 0;
        if (every) found = shownColumns.filter(Boolean).length;
        else {
          for (let column = 0; column < shownColumns.length; column += 1) {
            if (shownColumns[column] && matches(tr.cells[column + 1], outcome, expectation)) found += 1;
          }
        }
        tr.hidden = found === 0;
        if (found) shownRows += 1;
        shownCells += found;
      }
    }
    section.hidden = shownRows === 0;
  });
  byId("nothing").hidden = shownCells > 0;
  const filtered = fields.some((field) => field.value);
  byId("shown").textContent = filtered ? `${shownCells} ${shownCells === 1 ? "cell" : "cells"}` : "";
}
byId("filter").addEventListener("input", filter);
byId("filter").addEventListener("reset", () => setTimeout(filter));
byId("filter").addEventListener("submit", (event) => event.preventDefault());
follow();
