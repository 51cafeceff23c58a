"use strict";
/* What the page is about: the data, its stages as views, and names. A view is one stage of the program: a pass, LLVM IR
 * or assembly. */
const data = JSON.parse(document.getElementById("data").textContent);
const word = (n) => data.lines[n];
const byId = (id) => document.getElementById(id);
const svgSpace = byId("svg-root").namespaceURI;

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  return fill(made, attributes, children);
}
function drawn(tag, attributes, ...children) {
  const made = document.createElementNS(svgSpace, tag);
  return fill(made, attributes, children);
}
function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/* "97~1" is the value 97 in another place. Numbers are names within one graph, words are the same in all: a value's key
 * is "step/97" or "S.0". */
const baseName = (name) => name.replace(/~\d+$/, "");
function keyOf(name, graph) {
  const base = baseName(name);
  return graph && /^\d+$/.test(base) ? `${graph}/${base}` : base;
}
const nameOfKey = (key) => (/\/\d+$/.test(key) ? key.slice(key.lastIndexOf("/") + 1) : key);
const shown = (key) => "%" + nameOfKey(key);

const namePattern = /%("(?:[^"\\]|\\.)*"|[^\s,"()\[\]{}=:]+)/g;
function unquote(text) {
  if (!text.startsWith('"')) return text;
  return text.slice(1, -1).replace(/\\(x[0-9a-fA-F]{2}|.)/g, (all, c) =>
    c[0] === "x" && c.length === 3 ? String.fromCharCode(parseInt(c.slice(1), 16)) : { n: "\n", t: "\t" }[c] || c);
}

/* ---- the plan's names ---- */
const plan = data.plan;
const entryNames = plan ? plan.entries.map((entry) => word(entry.name)) : [];
/* A buffer holds a value: "step.23" that of %23. An entry's name may begin with that of another. */
const longestFirst = [...entryNames].sort((a, b) => b.length - a.length);
function keyOfBuffer(name) {
  for (const entry of longestFirst) if (name.startsWith(entry + ".")) return keyOf(name.slice(entry.length + 1), entry);
  return baseName(name);
}
const kernelNames = plan ? plan.kernels.map(word) : kernelsInText();
function kernelsInText() { /* of kernels without a plan */
  const text = data.stages[data.stages.length - 1].text;
  const lines = typeof text === "number" ? data.stages[text].text : text;
  return lines.map((n) => /^kernel (\w+)\(/.exec(data.lines[Math.floor(n / 64)])).filter((found) => found).map((found) => found[1]);
}
const kernelNumber = new Map(kernelNames.map((name, i) => [name, i]));
/* The entry whose values a kernel's text names: that of its first launch. */
const kernelEntry = kernelNames.map((name, kernel) => {
  if (!plan) return "";
  const first = plan.entries.findIndex((entry) => entry.steps.some((step) => step[0] === kernel));
  return first < 0 ? "" : entryNames[first];
});

/* ---- views ---- */
function makeViews() {
  const views = data.stages.map((stage, i) => {
    const source = typeof stage.text === "number" ? data.stages[stage.text] : stage;
    let drawingOf = i;
    while (drawingOf > 0 && !data.stages[drawingOf].graphs.length) drawingOf--;
    return {
      id: word(stage.name), title: word(stage.name), holds: word(stage.holds), kind: stage.lowered ? "kernel" : "graph",
      seconds: stage.run ? stage.seconds : null, changed: stage.changed || !stage.run,
      raw: typeof source.text === "number" ? null : source.text, same: typeof stage.text === "number" ? stage.text : -1,
      graphs: stage.lowered ? [] : data.stages[drawingOf].graphs,
    };
  });
  for (const view of views) if (!view.raw) view.raw = views[view.same].raw;
  for (const [id, title, code, holds] of [["llvm", "LLVM IR", data.llvm, "the code of the kernels, optimised"],
    ["assembly", "assembly", data.assembly, "the code of the kernels, for the machine"], ["hip", "HIP", data.hip, "the source that is compiled for GPUs"]]) {
    if (code) views.push({ id, title, holds,
      kind: id, seconds: null, changed: true, raw: code.text, at: id === "hip" ? null : code.at, code: true, graphs: [] });
  }
  return views;
}
const views = makeViews();
const lastKernelView = views.filter((view) => view.kind === "kernel").pop() || null;
const lineText = (n) => " ".repeat(n & 63) + data.lines[Math.floor(n / 64)];

/* ---- parts of a view's text: graphs, the plan, kernels, functions ---- */
function partsOf(view) {
  if (view.parts) return view.parts;
  const starts = [];
  const count = view.raw.length;
  const text = (i) => data.lines[Math.floor(view.raw[i] / 64)];
  const open = (i, title, kernel, graph) => {
    let from = i; /* comments in front belong to it */
    while (from > 0 && /^([#;]|\/\/)/.test(text(from - 1))) from--;
    starts.push({ from, title, kernel, head: i, graph: graph || (kernel >= 0 ? kernelEntry[kernel] : "") });
  };
  for (let i = 0; i < count; i++) {
    if (view.raw[i] & 63) continue;
    const line = text(i);
    let found;
    if (view.kind === "graph" && (found = /^graph (.*) \{/.exec(line))) open(i, "graph " + found[1], -1, unquote(found[1]));
    else if (view.kind === "kernel" && (found = /^kernel (\w+)\(/.exec(line))) open(i, "kernel " + found[1], kernelNumber.get(found[1]));
    else if (view.kind === "llvm" && (found = /^define .*@(\w+)\(/.exec(line))) open(i, found[1], kernelNumber.get(found[1]));
    else if (view.kind === "hip" && (found = /^extern "C" __global__ void (?:__launch_bounds__\([^)]*\) )?(\w+)\(/.exec(line))) open(i, found[1], kernelNumber.get(found[1]));
    else if (view.kind === "assembly" && (found = /^\t\.type\t(\w+),@function/.exec(line))) open(i, found[1], kernelNumber.get(found[1]));
  }
  if (!starts.length || starts[0].from > 0) {
    const title = { kernel: "plan: buffers and launches", graph: "program", llvm: "module", assembly: "head", hip: "prelude" }[view.kind];
    starts.unshift({ from: 0, title, kernel: -1, head: -1, graph: "" });
  }
  starts.forEach((part, i) => { part.to = i + 1 < starts.length ? starts[i + 1].from : count; });
  view.parts = starts;
  for (const part of starts) numberStatements(view, part);
  return starts;
}

/* The statement that each line of a kernel is, counted from 1; 0: none. */
function numberStatements(view, part) {
  part.kernel = part.kernel === undefined ? -1 : part.kernel;
  if (view.at) { part.statementAt = (i) => view.at[i]; return; }
  const numbers = new Map();
  if (view.kind === "kernel" && part.kernel >= 0) {
    let number = 0;
    for (let i = part.head + 1; i < part.to; i++) {
      const line = data.lines[Math.floor(view.raw[i] / 64)];
      if (line && !/^[#}]/.test(line)) numbers.set(i, ++number);
    }
  }
  part.statementAt = (i) => numbers.get(i) || 0;
}

/* Keys of the values that a line speaks of. */
const namesOfText = new Map();
function namesIn(view, part, i) {
  if (view.at) return [];
  const id = Math.floor(view.raw[i] / 64), inPlan = view.kind === "kernel" && part.kernel < 0;
  const known = inPlan ? "plan" : part.graph;
  if (!namesOfText.has(known)) namesOfText.set(known, new Map());
  const cache = namesOfText.get(known);
  if (!cache.has(id)) cache.set(id, tokensOf(data.lines[id], inPlan, part.graph).filter((token) => token.key !== undefined).map((token) => token.key));
  return cache.get(id);
}

/* A line in pieces; those that are names say so. */
function tokensOf(line, inPlan, graph) {
  const comment = line.search(/ {2}\/\/ %/); /* HIP says in comments which values it computes */
  if (comment > 0) return [{ text: line.slice(0, comment) }, ...tokensOf(line.slice(comment), inPlan, graph)];
  return inPlan ? planTokens(line) : splitBy(line, namePattern, (found) => keyOf(unquote(found[1]), graph));
}
function splitBy(line, pattern, keyIn) {
  const tokens = [];
  let at = 0;
  pattern.lastIndex = 0;
  for (let found; (found = pattern.exec(line));) {
    const key = keyIn(found);
    if (key === undefined) continue;
    if (found.index > at) tokens.push({ text: line.slice(at, found.index) });
    tokens.push({ text: found[0], key });
    at = pattern.lastIndex;
  }
  if (at < line.length) tokens.push({ text: line.slice(at) });
  return tokens;
}
const bufferNames = new Set(plan ? plan.buffers.map((buffer) => word(buffer[0])) : []);
function planTokens(line) {
  if (line.startsWith("#")) return [{ text: line }];
  return splitBy(line, /"(?:[^"\\]|\\.)*"|[^\s,"()\[\]{}=:]+/g, (found) => {
    const name = unquote(found[0]);
    return bufferNames.has(name) && !name.startsWith("constant.") ? keyOfBuffer(name) : undefined;
  });
}

/* ---- layers ---- */
const layers = (() => {
  const all = views.flatMap((view) => view.graphs).map((graph) => ({ graph: word(graph.name), ...graph.layers })).filter((found) => found.count > 1);
  const most = all.reduce((best, found) => (best && best.count >= found.count ? best : found), null);
  const of = new Map(); /* key -> layer, counted from the first of the equal ones */
  const shared = new Set(); /* constants that are copied into several */
  for (const found of all) {
    if (found.count !== most.count || found.first !== most.first) continue;
    found.names.forEach((names, layer) => names.forEach((n) => {
      const name = keyOf(word(n), found.graph);
      if (of.has(name) && of.get(name) !== layer) shared.add(name);
      else of.set(name, layer);
    }));
  }
  for (const name of shared) of.delete(name);
  return { count: most ? most.count : 0, first: most ? most.first : 0, prefix: most ? word(most.prefix) : "", of };
})();
