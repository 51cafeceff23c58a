/* The page itself: the strip, the state that is kept in the address, keys. */
const state = { view: null, layer: 0, call: 0, kernel: -1, graph: null, zoom: 0, theme: "", showGone: false, hit: 0,
  open: new Map(), unfolded: new Set(), rendered: null, refocus: false };

const say = (text) => { byId("status").textContent = text; };
const duration = (seconds) => (seconds === null ? "" : seconds >= 0.0995 ? `${(seconds * 1000).toFixed(0)} ms` : seconds >= 0.001 ? `${(seconds * 1000).toFixed(1)} ms` : `${(seconds * 1e6).toFixed(0)} µs`);

/* A name as people write it; a number is one of the first graph. */
const firstGraph = entryNames[0] || (views[0].graphs[0] ? word(views[0].graphs[0].name) : "");
function keyGiven(text) {
  const name = text.trim().replace(/^%/, "");
  return name.includes("/") ? name : keyOf(name, firstGraph);
}

/* ---- address: #stage=fuse&value=97&layer=3&call=prefill&theme=dark ---- */
function readHash() {
  const given = new URLSearchParams(location.hash.slice(1));
  state.view = views.find((view) => view.id === given.get("stage")) || state.view || views[0];
  /* what an address does not say is as at the start */
  state.layer = given.get("layer") === "all" ? -1 : Math.max(0, Math.min(layers.count - 1, Number(given.get("layer") || layers.first) - layers.first || 0));
  if (plan) state.call = Math.max(0, plan.calls.findIndex((call) => call.name === given.get("call")));
  state.kernel = kernelNumber.has(given.get("kernel")) ? kernelNumber.get(given.get("kernel")) : -1;
  if (["light", "dark"].includes(given.get("theme"))) state.theme = given.get("theme");
  selected.value = given.has("value") ? keyGiven(given.get("value")) : null;
  selected.statement = 0;
  const place = /^(\w+):(\d+)$/.exec(given.get("statement") || "");
  if (place && kernelNumber.has(place[1])) {
    selected.kernel = kernelNumber.get(place[1]);
    selected.statement = Number(place[2]);
  }
  const layer = selected.value === null ? undefined : layers.of.get(selected.value);
  if (layer !== undefined && state.layer >= 0) state.layer = layer;
  findHits();
}
function writeHash() {
  const now = new URLSearchParams();
  now.set("stage", state.view.id);
  if (selected.value !== null) now.set("value", selected.value.startsWith(firstGraph + "/") ? nameOfKey(selected.value) : selected.value);
  if (selected.statement) now.set("statement", `${kernelNames[selected.kernel]}:${selected.statement}`);
  if (layers.count > 1 && state.layer !== 0) now.set("layer", state.layer < 0 ? "all" : state.layer + layers.first);
  if (state.call) now.set("call", plan.calls[state.call].name);
  if (state.kernel >= 0) now.set("kernel", kernelNames[state.kernel]);
  if (state.theme) now.set("theme", state.theme);
  history.replaceState(null, "", "#" + now);
}

/* ---- the strip ---- */
function renderStrip() {
  const strip = byId("strip"), focused = strip.contains(document.activeElement);
  strip.replaceChildren();
  views.forEach((view, i) => {
    const hits = hitsOf.get(view), on = view === state.view;
    const note = view.seconds === null ? (view.code ? `${partsOf(view).filter((part) => part.kernel >= 0).length} kernels` : "as read")
      : duration(view.seconds) + (view.changed ? "" : " (unchanged)");
    const tab = element("button", { type: "button", role: "tab", "aria-selected": String(on), tabindex: on ? "0" : "-1", "data-stage": view.id,
      title: view.holds, onclick: () => show(view, true) }, element("b", {}, view.title), element("small", {}, note),
    hits && hits.size ? element("span", { class: "count", title: `${hits.size} lines have to do with what is selected` }, String(hits.size)) : null);
    if (i) strip.append(element("span", { class: "arrow", "aria-hidden": "true" }, "›"));
    strip.append(tab);
    if (on && focused) tab.focus();
  });
}
function show(view, jump) {
  state.view = view;
  writeHash();
  render(jump && (selected.value !== null || selected.statement > 0));
}

function describeSelection() {
  const where = views.filter((view) => (hitsOf.get(view) || new Set()).size);
  if (selected.value !== null) {
    const definition = data.lines.find((line) => line.startsWith(shown(selected.value) + " = ") || line.startsWith(`%${JSON.stringify(nameOfKey(selected.value))} = `)) || "";
    const type = / : (\w+\[[^\]]*\])/.exec(definition), origin = / @("(?:[^"\\]|\\.)*")/.exec(definition);
    byId("status").replaceChildren(element("b", {}, shown(selected.value)), ` ${type ? type[1] : ""} ${origin ? unquote(origin[1]) : ""} — `,
      where.length ? `in ${where.map((view) => view.title).join(", ")}` : "in no stage");
  } else if (selected.statement) {
    byId("status").replaceChildren(element("b", {}, kernelNames[selected.kernel]), ` statement ${selected.statement} — `,
      `in ${where.map((view) => `${view.title} (${hitsOf.get(view).size} line${hitsOf.get(view).size > 1 ? "s" : ""})`).join(", ")}`);
  } else say("Click a value to follow it through all stages, down to the code; click a line of a kernel to see its instructions.");
}

function render(jump) {
  renderStrip();
  if (state.view.kind === "graph") renderGraph(state.view); else renderPlan(state.view);
  renderText(state.view, jump);
  state.rendered = state.view.id;
  byId("layer").value = String(state.layer);
  describeSelection();
}

/* ---- keys ---- */
function moveAmong(list, from, step) {
  const to = list[Math.max(0, Math.min(list.length - 1, from + step))];
  if (to) to.focus();
}
document.addEventListener("keydown", (event) => {
  const target = event.target, typing = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    selectValue(null);
    if (typing) target.blur();
    return;
  }
  if (typing) return;
  if (target.closest("#strip") && ["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) {
    const at = views.indexOf(state.view), to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: views.length - 1 }[event.key];
    show(views[Math.max(0, Math.min(views.length - 1, to))], true);
  } else if (target.closest("#text") && ["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"].includes(event.key) && (event.key === "ArrowLeft" || event.key === "ArrowRight" || target.dataset.name !== undefined)) {
    const names = [...document.querySelectorAll("#text [data-name]")];
    moveAmong(names, names.indexOf(target), event.key === "ArrowDown" || event.key === "ArrowRight" ? 1 : -1);
  } else if (target.closest("#text") && event.key === "Enter" && target.dataset.name !== undefined) {
    selectValue(target.dataset.name);
  } else if (event.key === "n") goToHit(1, false);
  else if (event.key === "p") goToHit(-1, false);
  else if (event.key === "s") {
    const at = views.indexOf(state.view), order = [...views.slice(at + 1), ...views.slice(0, at)];
    const next = order.find((view) => (hitsOf.get(view) || new Set()).size);
    if (next) show(next, true);
  } else if (event.key === "/") byId("find").focus();
  else if ((event.key === "[" || event.key === "]") && layers.count > 1) {
    state.layer = Math.max(0, Math.min(layers.count - 1, Math.max(state.layer, 0) + (event.key === "]" ? 1 : -1)));
    writeHash();
    render(false);
  } else return;
  event.preventDefault();
});

/* ---- light and dark ---- */
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
function applyTheme() {
  document.documentElement.dataset.theme = state.theme || (prefersDark.matches ? "dark" : "light");
}
prefersDark.addEventListener("change", applyTheme);

function start() {
  const everyName = new Set();
  for (const view of views) if (view.kind === "graph") for (const name of allNames(view)) everyName.add(name);
  byId("names").append(...[...everyName].slice(0, 4000).map((key) => element("option", { value: key.startsWith(firstGraph + "/") ? shown(key) : "%" + key })));
  byId("find").addEventListener("change", (event) => {
    const name = event.target.value.trim().replace(/^%/, ""), key = keyGiven(name);
    const found = everyName.has(key) ? key : [...everyName].find((known) => nameOfKey(known).includes(name));
    if (!name || found === undefined) say(name ? `no value is called %${name}` : "");
    else selectValue(found);
  });
  if (layers.count > 1) {
    byId("layer-label").hidden = false;
    byId("layer").append(...Array.from({ length: layers.count }, (_, i) => element("option", { value: i }, `${i + layers.first} of ${layers.first + layers.count}`)),
      element("option", { value: -1 }, "all"));
    byId("layer").addEventListener("change", (event) => {
      state.layer = Number(event.target.value);
      writeHash();
      render(false);
    });
  }
  byId("theme").addEventListener("click", () => {
    state.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    applyTheme();
    writeHash();
  });
  const path = word(data.model).split("/").filter((step) => step);
  byId("model").textContent = path.slice(/^(config|.*index)\.json$/.test(path[path.length - 1]) ? -2 : -1).join("/") || word(data.model);
  byId("model").title = word(data.model);
  const facts = [plan ? `${plan.kernels.length} kernels` : "", layers.count > 1 ? `${layers.count} equal layers` : "", word(data.machine)];
  byId("facts").textContent = facts.filter((fact) => fact).join(" · ");
  window.addEventListener("hashchange", () => { readHash(); applyTheme(); render(true); });
  readHash();
  applyTheme();
  render(selected.value !== null || selected.statement > 0 || state.kernel >= 0);
  document.documentElement.dataset.ready = "yes";
}
start();
