/* Graphs as the program has laid them out. One picture stands for all equal layers; its names are those of the layer
 * that is shown, and "all" puts the layers one below the other. */
const layerGap = 26;

function nameIn(graph, node, name, layer) {
  if (layer <= 0) return word(name);
  if (!graph.places) graph.places = new Map(graph.layers.nodes.map((n, i) => [n, i]));
  const place = graph.places.get(node);
  return place === undefined ? word(name) : word(graph.layers.names[layer][place]);
}
const cut = (name) => (name.length > 30 ? "…" + name.slice(-29) : name);
const isOn = (key) => selected.value !== null && key === selected.value;
const keyIn = (graph, name) => keyOf(name, word(graph.name));

function chipOf(graph, chip, x, y, width, layer) {
  const [kind, name, type, node] = chip, own = node ? nameIn(graph, node, name, layer) : word(name);
  const isOutput = word(kind) === "output";
  const made = drawn("g", { class: `chip ${word(kind)}${!isOutput && isOn(keyIn(graph, own)) ? " on" : ""}`, "data-name": keyIn(graph, own) },
    drawn("title", {}, `${word(kind)} ${own} ${word(type)}`),
    drawn("rect", { x, y: y - 11, width, height: 14, rx: 3 }),
    drawn("text", { x: x + 2, y }, (isOutput ? "→ " : "◂ ") + cut(own)));
  if (!isOutput) made.addEventListener("click", (event) => { event.stopPropagation(); selectValue(keyIn(graph, own)); });
  return made;
}

function boxOf(graph, box, index, layer, dy, added) {
  const [node, name, op, type, origin, x, y, width, height, , , chips] = box;
  const own = nameIn(graph, node, name, layer), left = x - width / 2, top = y - height / 2 + dy;
  const made = drawn("g", { class: `box${isOn(keyIn(graph, own)) ? " on" : ""}${added ? " new" : ""}`, tabindex: "-1", role: "button",
    "aria-label": `${word(op)} %${own} ${word(type)}`, "data-name": keyIn(graph, own), "data-box": index, onclick: () => selectValue(keyIn(graph, own)) },
  drawn("title", {}, `%${own} = ${word(op)} : ${word(type)}\n${word(origin)}${added ? "\nnew in this stage" : ""}`),
  drawn("rect", { x: left, y: top, width, height, rx: 4 }),
  drawn("text", { class: "op", x: left + 7, y: top + 14 }, word(op)));
  made.append(drawn("text", { x: left + 7, y: top + 29 }, shown(cut(own)) + " ", drawn("tspan", { class: "type" }, word(type))));
  chips.forEach((chip, i) => made.append(chipOf(graph, chip, left + 5, top + 44 + 15 * i, width - 10, layer)));
  return made;
}

function frameOf(frame, isLayer, dy, layer) {
  const [x, y, width, height, name, anchor, folded, schedule] = frame;
  const made = drawn("g", { class: isLayer ? "frame layer" : "frame" }, drawn("rect", { x, y: y + dy, width, height, rx: 7 }));
  const put = (text, line, kind) => {
    const room = Math.max(8, Math.floor((width - 14) / 6.65));
    made.append(drawn("text", { class: kind, x: x + 8, y: y + dy + 14 + 14 * line }, text.length > room ? text.slice(0, room - 1) + "…" : text));
  };
  if (isLayer) {
    put(`${layers.prefix}.${layers.first + Math.max(layer, 0)}  —  ${layers.count} equal layers`, 0, "");
    return made;
  }
  const title = layer > 0 && layers.prefix ? word(name).replace(`${layers.prefix}.${layers.first}.`, `${layers.prefix}.${layers.first + layer}.`) : word(name);
  put(title, 0, "");
  if (word(folded)) put(word(folded), 1, "quiet");
  made.prepend(drawn("title", {}, `region ${title}\nbuilt around: ${word(anchor)}\nfolded in: ${word(folded) || "nothing"}${word(schedule) ? "\nschedule: " + word(schedule) : ""}`));
  return made;
}

function pathOf(points) {
  let path = `M${points[0]},${points[1]}`;
  for (let i = 2; i + 5 < points.length; i += 6) path += `C${points.slice(i, i + 6).join(",")}`;
  const rest = (points.length - 2) % 6;
  if (rest === 2) path += `L${points[points.length - 2]},${points[points.length - 1]}`;
  return path;
}

/* One copy of what is in the layer (or out of it), `dy` lower. */
function drawGraph(view, graph) {
  const inLayer = graph.layers.count > 1, all = state.layer < 0 && inLayer;
  const layerFrame = inLayer ? graph.frames[0] : null, step = inLayer ? layerFrame[3] + layerGap : 0;
  const copies = all ? graph.layers.count : 1, below = all ? (copies - 1) * step : 0;
  const bottom = inLayer ? layerFrame[1] + layerFrame[3] : Infinity;
  const shift = (y) => (y > bottom - 1 ? below : 0);
  const root = drawn("svg", { class: "graph", role: "group", "aria-label": "graph " + word(graph.name) });
  const at = views.indexOf(view), before = at > 0 ? views[at - 1] : null, old = before && before.kind === "graph" ? before.nameSet || (before.nameSet = allNames(before)) : null;
  const frameInside = (frame) => inLayer && frame !== layerFrame && frame[1] >= layerFrame[1] && frame[1] < bottom && frame[0] >= layerFrame[0] && frame[0] < layerFrame[0] + layerFrame[2];
  const frames = drawn("g", {}), edges = drawn("g", {}), boxes = drawn("g", {});
  const layerShown = (copy) => (all ? copy : Math.max(state.layer, 0));
  for (let copy = 0; copy < copies; copy++) if (inLayer) frames.append(frameOf(layerFrame, true, copy * step, layerShown(copy)));
  for (const frame of graph.frames) {
    if (frame === layerFrame) continue;
    if (!frameInside(frame)) frames.append(frameOf(frame, false, shift(frame[1]), 0));
    else for (let copy = 0; copy < copies; copy++) frames.append(frameOf(frame, false, copy * step, layerShown(copy)));
  }
  const line = (points, dy, endDy, back, on) => {
    const moved = points.map((p, i) => (i % 2 ? p + (i > points.length / 2 ? endDy : dy) : p));
    edges.append(drawn("path", { class: `edge${back ? " back" : ""}${on ? " on" : ""}`, d: pathOf(moved), "marker-end": "url(#tip)" }));
  };
  const touches = (box, layer) => isOn(keyIn(graph, nameIn(graph, box[0], box[1], layer)));
  for (const [from, to, back, points] of graph.edges) {
    const a = graph.boxes[from], b = graph.boxes[to];
    if (!points.length) continue;
    if (a[9] && b[9] && !back) for (let copy = 0; copy < copies; copy++) line(points, copy * step, copy * step, false, touches(a, layerShown(copy)));
    else if (!back) line(points, a[9] ? below : shift(a[6]), b[9] ? 0 : shift(b[6]), false, touches(a, a[9] ? layerShown(copies - 1) : 0));
    else if (!all) line(points, 0, 0, true, touches(a, layerShown(0)));
    else for (let copy = 0; copy + 1 < copies; copy++) {
      const x = a[5], y = a[6] + a[8] / 2 + copy * step, u = b[5], v = b[6] - b[8] / 2 + (copy + 1) * step;
      line([x, y, x, y + 30, u, v - 30, u, v], 0, 0, false, touches(a, copy));
    }
  }
  graph.boxes.forEach((box, i) => {
    const added = old && view.changed && !old.has(keyIn(graph, word(box[1])));
    for (let copy = 0; copy < (box[9] ? copies : 1); copy++) {
      boxes.append(boxOf(graph, box, i, box[9] ? layerShown(copy) : 0, box[9] ? copy * step : shift(box[6]), added));
    }
  });
  root.append(drawn("defs", {}, drawn("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerUnits: "userSpaceOnUse", markerWidth: 8, markerHeight: 8, orient: "auto" },
    drawn("path", { class: "tip", d: "M0,0L8,4L0,8z" }))), frames, edges, boxes);
  graph.size = [graph.width + 8, graph.height + below + 8];
  root.setAttribute("viewBox", `-4 -4 ${graph.size[0]} ${graph.size[1]}`);
  return root;
}

function allNames(view) {
  const names = new Set();
  for (const part of partsOf(view)) for (let i = part.from; i < part.to; i++) for (const name of namesIn(view, part, i)) names.add(name);
  return names;
}

function renderGraph(view) {
  const holder = element("div", { class: "scroll", id: "picture" });
  const bar = element("div", { class: "bar" });
  const names = view.graphs.map((graph) => word(graph.name));
  if (!names.includes(state.graph)) state.graph = names[0];
  const graph = view.graphs[names.indexOf(state.graph)];
  const kept = byId("picture") && state.rendered === view.id ? [byId("picture").scrollLeft, byId("picture").scrollTop] : [0, 0];
  if (names.length > 1) {
    bar.append(element("label", {}, "graph ", element("select", { id: "graph", onchange: (event) => { state.graph = event.target.value; render(false); } },
      ...names.map((name) => element("option", { selected: name === state.graph }, name)))));
  }
  bar.append(element("span", { class: "grow" }, graph && graph.boxes ? `${graph.boxes.length} boxes drawn${graph.layers.count > 1 ? `, one layer of ${graph.layers.count}` : ""}` : ""));
  if (graph && graph.boxes) {
    const root = drawGraph(view, graph);
    const size = () => {
      const fit = Math.min(1, (byId("left").clientWidth - 24) / graph.size[0]);
      const scale = state.zoom || Math.max(fit, 0.85);
      root.setAttribute("width", graph.size[0] * scale);
      root.setAttribute("height", graph.size[1] * scale);
      return scale;
    };
    const zoom = (factor) => { state.zoom = Math.min(3, Math.max(0.1, size() * factor)); size(); };
    for (const [label, title, act] of [["−", "smaller", () => zoom(0.8)], ["+", "larger", () => zoom(1.25)],
      ["fit", "as wide as the pane", () => { state.zoom = (byId("left").clientWidth - 24) / graph.size[0]; size(); }], ["1:1", "as large as text", () => { state.zoom = 1; size(); }]]) {
      bar.append(element("button", { type: "button", title, "aria-label": title, onclick: act }, label));
    }
    size();
    holder.append(root);
    rove(root, graph);
  } else {
    holder.append(element("p", { class: "absent" }, view.graphs.length
      ? "Graphs are not drawn: this retc was built without Graphviz (libgraphviz-dev). The text beside is complete."
      : "There is no graph in this stage."));
  }
  byId("left").replaceChildren(bar, holder);
  const on = holder.querySelector(".box.on, .chip.on"), shown = holder.getBoundingClientRect();
  [holder.scrollLeft, holder.scrollTop] = kept;
  const first = holder.querySelector(".box"), place = (on || first || holder).getBoundingClientRect();
  const outside = place.left < shown.left || place.right > shown.right || place.top < shown.top || place.bottom > shown.bottom;
  if (!on && state.rendered === view.id) return;
  if (outside || state.rendered !== view.id) {
    holder.scrollLeft += (place.left + place.right - shown.left - shown.right) / 2;
    if (on) holder.scrollTop += (place.top + place.bottom - shown.top - shown.bottom) / 2;
  }
}

/* Arrow keys follow the edges; one box at a time is in the order of the tab key. */
function rove(root, graph) {
  const boxes = [...root.querySelectorAll(".box")];
  const start = root.querySelector(".box.on") || boxes[0];
  if (start) start.setAttribute("tabindex", "0");
  const go = (from, to) => {
    if (!to) return;
    from.setAttribute("tabindex", "-1");
    to.setAttribute("tabindex", "0");
    to.focus();
  };
  root.addEventListener("keydown", (event) => {
    const box = event.target.closest(".box");
    if (!box) return;
    const number = Number(box.dataset.box), at = boxes.indexOf(box);
    const next = { ArrowDown: () => graph.edges.filter((edge) => edge[0] === number && !edge[2]).map((edge) => edge[1])[0],
      ArrowUp: () => graph.edges.filter((edge) => edge[1] === number && !edge[2]).map((edge) => edge[0])[0] }[event.key];
    if (next) {
      const found = next();
      if (found !== undefined) go(box, boxes.find((other) => Number(other.dataset.box) === found));
    } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      go(box, boxes[at + (event.key === "ArrowRight" ? 1 : -1)]);
    } else if (event.key === "Enter" || event.key === " ") {
      state.refocus = true;
      selectValue(box.dataset.name);
    } else return;
    event.preventDefault();
  });
  if (state.refocus && start) start.focus();
  state.refocus = false;
}
