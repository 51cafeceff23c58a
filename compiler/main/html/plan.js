/* Kernels with their costs, and memory as a picture. */
const units = (n) => {
  if (n === 0) return "0";
  const steps = ["", " k", " M", " G", " T"];
  const power = Math.min(4, Math.floor(Math.log10(Math.abs(n)) / 3));
  const scaled = n / 1000 ** Math.max(power, 0);
  return (power <= 0 ? String(Math.round(n)) : scaled >= 100 ? scaled.toFixed(0) : scaled >= 10 ? scaled.toFixed(1) : scaled.toFixed(2)) + steps[Math.max(power, 0)];
};
const bytes = (n) => units(n) + (n < 1000 ? " B" : "B");

/* Launches of each kernel in an entry, and what they cost together in a call. */
function costsOf(entry, call) {
  const rows = kernelNames.map((name, kernel) => ({ name, kernel, runs: 0, flop: 0, weight: 0, state: 0, row: 0, known: true, regions: [] }));
  for (const [kernel, region, , , cost] of entry.steps) {
    const row = rows[kernel];
    row.runs++;
    row.regions.push(word(region));
    if (!cost[call]) { row.known = false; continue; }
    const [flop, weight, stateBytes, rowBytes] = cost[call];
    row.flop += flop; row.weight += weight; row.state += stateBytes; row.row += rowBytes;
  }
  return rows.filter((row) => row.runs);
}

function callBar() {
  const call = plan.calls[state.call];
  const bar = element("div", { class: "bar" }, element("label", {}, "cost of ",
    element("select", { id: "call", onchange: (event) => { state.call = Number(event.target.value); writeHash(); render(false); } },
      ...plan.calls.map((each, i) => element("option", { value: i, selected: i === state.call }, each.name)))));
  bar.append(element("span", { class: "grow" }, `${call.batch} row${call.batch > 1 ? "s" : ""} of ${call.tokens} token${call.tokens > 1 ? "s" : ""} at position ${call.position}`));
  return bar;
}

function kernelTable(entry) {
  const rows = costsOf(entry, state.call), total = { runs: 0, flop: 0, weight: 0, state: 0, row: 0, known: true };
  for (const row of rows) for (const key of ["runs", "flop", "weight", "state", "row"]) total[key] += row[key];
  total.known = rows.every((row) => row.known);
  const sum = (row) => row.weight + row.state + row.row, all = sum(total) || 1;
  const cells = (row) => row.known ? [units(row.flop), bytes(sum(row)), sum(row) ? (row.flop / sum(row)).toPrecision(3) : "–"] : ["?", "?", "?"];
  const body = rows.map((row) => element("tr", { class: row.kernel === state.kernel || (statements[row.kernel] && statements[row.kernel].size) ? "on" : "",
    title: `${row.regions.slice(0, 6).join("\n")}${row.regions.length > 6 ? `\n… ${row.regions.length} regions` : ""}\nweights ${bytes(row.weight)}, states ${bytes(row.state)}, rows ${bytes(row.row)}` },
  element("td", {}, element("button", { type: "button", class: "mono", "data-kernel": row.name, onclick: () => { state.kernel = row.kernel; writeHash(); render(false); goToHit(0, true); } }, row.name)),
  element("td", {}, "× " + row.runs), ...cells(row).map((text) => element("td", {}, text)),
  element("td", {}, element("span", { class: "meter", title: `${(100 * sum(row) / all).toFixed(1)} % of the bytes` },
    element("i", { style: `width:${(100 * sum(row) / all).toFixed(1)}%` })))));
  body.push(element("tr", { class: "total" }, element("td", {}, "all"), element("td", {}, "× " + total.runs),
    ...cells(total).map((text) => element("td", {}, text)), element("td", {})));
  return element("table", { class: "kernels" }, element("thead", {}, element("tr", {},
    ...["kernel", "runs", "FLOP", "bytes", "FLOP / byte", "share of bytes"].map((text) => element("th", { scope: "col" }, text)))),
  element("tbody", {}, ...body));
}

/* ---- memory ---- */
function livesOf(entry) {
  const lives = new Map();
  entry.steps.forEach(([, , buffers], at) => {
    for (const b of buffers) {
      if (plan.buffers[b][3] < 0) continue;
      if (!lives.has(b)) lives.set(b, { from: at, to: at });
      lives.get(b).to = at;
    }
  });
  return lives;
}

function memoryPicture(entry) {
  const lives = livesOf(entry), size = (b) => plan.buffers[b][4 + state.call];
  const used = [...new Set([...lives.keys()].map((b) => plan.buffers[b][3]))].sort((a, b) => a - b);
  const left = 54, width = 530, right = 66, bar = 15, top = 18;
  const of = (slot) => [...lives.keys()].filter((b) => plan.buffers[b][3] === slot);
  const root = drawn("svg", { class: "graph memory", role: "group", "aria-label": "memory of " + word(entry.name), width: left + width + right, height: top + used.length * (bar + 3) + 6 });
  const x = (step) => left + width * step / entry.steps.length;
  root.append(drawn("text", { x: left, y: 11 }, `step 1 … ${entry.steps.length}`), drawn("text", { x: left + width + 6, y: 11 }, "size"));
  used.forEach((slot, row) => {
    const y = top + row * (bar + 3), holds = of(slot);
    root.append(drawn("line", { class: "axis", x1: left, x2: left + width, y1: y + bar + 1, y2: y + bar + 1 }),
      drawn("text", { x: 2, y: y + 11 }, "slot " + slot),
      drawn("text", { x: left + width + 6, y: y + 11 }, bytes(Math.max(...holds.map(size)))));
    for (const b of holds) {
      const life = lives.get(b), [name, kind, type] = plan.buffers[b], value = keyOfBuffer(word(name));
      const made = drawn("g", { class: `slot${isOn(value) ? " on" : ""}`, tabindex: "-1", role: "button", "data-name": value, "aria-label": `${word(name)} in slot ${slot}`,
        onclick: () => selectValue(value) },
      drawn("title", {}, `${word(name)} : ${word(type)}\n${word(kind)} in slot ${slot}, ${bytes(size(b))}\nsteps ${life.from + 1} to ${life.to + 1}`),
      drawn("rect", { class: word(kind), x: x(life.from), y, width: Math.max(2.5, x(life.to + 1) - x(life.from)), height: bar, rx: 2 }));
      root.append(made);
    }
  });
  const bars = [...root.querySelectorAll(".slot")];
  if (bars.length) (root.querySelector(".slot.on") || bars[0]).setAttribute("tabindex", "0");
  root.addEventListener("keydown", (event) => {
    const at = bars.indexOf(event.target.closest(".slot"));
    const to = bars[at + ({ ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key] || 0)];
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") selectValue(bars[at].dataset.name);
    else if (to && to !== bars[at]) { bars[at].setAttribute("tabindex", "-1"); to.setAttribute("tabindex", "0"); to.focus(); } else return;
    event.preventDefault();
  });
  return root;
}

function memoryNote() {
  const sums = {};
  plan.buffers.forEach((buffer) => {
    const kind = word(buffer[1]);
    if (buffer[3] < 0) sums[kind] = (sums[kind] || 0) + buffer[4 + state.call];
  });
  const slots = new Map();
  let apart = 0;
  plan.buffers.forEach((buffer) => {
    if (buffer[3] < 0) return;
    apart += buffer[4 + state.call];
    slots.set(buffer[3], Math.max(slots.get(buffer[3]) || 0, buffer[4 + state.call]));
  });
  const shared = [...slots.values()].reduce((a, b) => a + b, 0);
  const parts = Object.entries(sums).map(([kind, n]) => `${kind}s ${bytes(n)}`);
  return `${parts.join(" · ")} · buffers of the call ${bytes(shared)} in ${slots.size} slots (${bytes(apart)} if none were shared)`;
}

function renderPlan(view) {
  const holder = element("div", { class: "scroll", id: "picture" });
  const kept = byId("picture") && state.rendered === view.id ? byId("picture").scrollTop : 0;
  if (!plan) {
    byId("left").replaceChildren(element("div", { class: "bar" }), holder);
    holder.append(element("p", { class: "absent" }, "These kernels come without a plan: there are no launches to count."));
    return;
  }
  const memory = view.id === "memory";
  for (const entry of plan.entries) {
    if (memory) holder.append(element("h2", { class: "sub" }, `memory of entry ${word(entry.name)}: who is in which slot, over its steps`), memoryPicture(entry));
  }
  if (memory) holder.append(element("p", { class: "note" }, memoryNote()));
  for (const entry of plan.entries) {
    holder.append(element("h2", { class: "sub" }, `kernels of entry ${word(entry.name)}`), kernelTable(entry));
  }
  const known = plan.entries.some((entry) => entry.steps.some((step) => step[4].length));
  holder.append(element("p", { class: "note" }, known
    ? "FLOP are 2MNK of the products and causal retention: no filling of tiles, no masked halves. Bytes are packed weights, states and rows really read or written, once each."
    : "Costs are counted from graphs, and this program was read as kernels."));
  byId("left").replaceChildren(callBar(), holder);
  holder.scrollTop = kept;
}
