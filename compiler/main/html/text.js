/* The text of a view: parts that open, lines with their names, what changed against the view before. */

/* ---- what changed: lines that both texts have once are anchors, the longest run of them in order stays ---- */
function differenceTo(view) {
  if (view.difference !== undefined) return view.difference;
  const before = views[views.indexOf(view) - 1];
  if (!before || before.kind !== view.kind || view.at || before.raw === view.raw) return (view.difference = null);
  const keys = (raw) => raw.map((n) => Math.floor(n / 64));
  const old = keys(before.raw), now = keys(view.raw);
  const kept = longestCommon(old, now);
  const inOld = new Set(old), inNow = new Set(now);
  const stays = new Set(kept.map(([, j]) => j)), stayed = new Set(kept.map(([i]) => i));
  const mark = now.map((key, j) => (stays.has(j) || !data.lines[key] || data.lines[key] === "}" ? "" : inOld.has(key) ? "move" : "add"));
  const gone = new Map(); /* line of the new text -> old lines that went away before it */
  let next = 0;
  for (let i = 0; i < old.length; i++) {
    if (stayed.has(i)) { next = kept.find2(i) + 1; continue; }
    if (inNow.has(old[i]) || !data.lines[old[i]]) continue;
    if (!gone.has(next)) gone.set(next, []);
    gone.get(next).push(before.raw[i]);
  }
  /* the line "program" says which pass was the last: no change */
  now.forEach((key, j) => { if (/^program\b/.test(data.lines[key])) mark[j] = ""; });
  for (const [j, list] of gone) {
    const left = list.filter((n) => !/^program\b/.test(data.lines[Math.floor(n / 64)]));
    if (left.length) gone.set(j, left); else gone.delete(j);
  }
  return (view.difference = { mark, gone });
}

function longestCommon(old, now) {
  const count = (list) => list.reduce((map, key) => map.set(key, (map.get(key) || 0) + 1), new Map());
  const oldCount = count(old), nowCount = count(now), place = new Map();
  old.forEach((key, i) => { if (oldCount.get(key) === 1) place.set(key, i); });
  const tails = [], previous = new Map(); /* patience: the longest rising run of places in the old text */
  now.forEach((key, j) => {
    if (nowCount.get(key) !== 1 || !place.has(key)) return;
    const i = place.get(key);
    let low = 0, high = tails.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (tails[middle].i < i) low = middle + 1; else high = middle;
    }
    const item = { i, j };
    previous.set(item, low ? tails[low - 1] : null);
    tails[low] = item;
  });
  const anchors = [];
  for (let item = tails[tails.length - 1] || null; item; item = previous.get(item)) anchors.push([item.i, item.j]);
  anchors.reverse();
  /* between anchors what is equal from either end stays, too */
  const kept = [];
  let i = 0, j = 0;
  for (const [a, b] of [...anchors, [old.length, now.length]]) {
    while (i < a && j < b && old[i] === now[j]) kept.push([i++, j++]);
    const back = [];
    let x = a - 1, y = b - 1;
    while (x >= i && y >= j && old[x] === now[y]) back.push([x--, y--]);
    kept.push(...back.reverse());
    if (a < old.length && b < now.length) kept.push([a, b]);
    i = a + 1;
    j = b + 1;
  }
  const where = new Map(kept);
  kept.find2 = (key) => where.get(key);
  return kept;
}

/* ---- layers: lines of those that are not shown fold up ---- */
function layersOfLines(view, part) {
  const found = new Array(part.to - part.from).fill(-1);
  if (layers.count < 2 || !(view.kind === "graph" || (view.kind === "kernel" && part.kernel < 0))) return found;
  for (let i = part.from; i < part.to; i++) {
    const line = data.lines[Math.floor(view.raw[i] / 64)];
    const names = namesIn(view, part, i);
    if (!names.length) { /* a region's head belongs to what it holds, its end to what was before */
      found[i - part.from] = line === "}" && i > part.from && (view.raw[i] & 63) ? found[i - part.from - 1] : -1;
      continue;
    }
    const own = view.kind === "kernel" && !/^(buffer|output) /.test(line) ? names[names.length - 1] : names[0];
    let layer = layers.of.get(own);
    if (layer === undefined && view.kind === "kernel") { /* a launch belongs to the layer of its weights or states */
      layer = names.map((name) => layers.of.get(name)).reverse().find((known) => known !== undefined);
    }
    found[i - part.from] = layer === undefined ? -1 : layer;
  }
  /* what a region has no other layer for, constants, is of the region's layer */
  for (let i = part.from; i < part.to; i++) {
    if (!/^region /.test(data.lines[Math.floor(view.raw[i] / 64)])) continue;
    let end = i;
    while (end + 1 < part.to && data.lines[Math.floor(view.raw[end] / 64)] !== "}") end++;
    const own = found.slice(i - part.from, end - part.from + 1).find((layer) => layer >= 0);
    if (own !== undefined) found.fill(own, i - part.from, end - part.from + 1);
  }
  return found;
}

/* ---- rows ---- */
function rowOf(view, part, i) {
  const id = Math.floor(view.raw[i] / 64), line = data.lines[id], hits = hitsOf.get(view);
  const difference = differenceTo(view), statement = part.statementAt(i);
  const classes = ["row"];
  if (difference && difference.mark[i]) classes.push(difference.mark[i]);
  if (hits && hits.has(i)) classes.push(selected.value === null ? "statement" : "hit");
  const linked = statement > 0 && part.kernel >= 0 && (view.at || view === lastKernelView);
  if (linked) classes.push("linked");
  const row = element("code", { class: classes.join(" "), "data-line": i,
    "data-statement": linked ? statement : null, "data-kernel": linked ? part.kernel : null });
  row.append(element("span", { class: "no" }, String(i + 1)), " ".repeat(view.raw[i] & 63));
  const wanted = selected.value === null ? null : namesFor(part.kernel, selected.value);
  const remark = view.at ? -1 : line.search(/(^|  )(#|\/\/) /);
  let at = 0;
  for (const token of view.at ? [{ text: line }] : tokensOf(line, view.kind === "kernel" && part.kernel < 0, part.graph)) {
    if (token.key === undefined) {
      const text = token.text.replace(/\[([^\]\n]{90,})\]/g, (all, list) => `[${list.split(",").slice(0, 3)}, … ${list.split(",").length} numbers]`);
      row.append(remark >= 0 && at >= remark ? element("span", { class: "remark" }, text) : text);
    } else {
      const on = wanted && wanted.has(token.key);
      row.append(element("span", { class: on ? "name on" : "name", "data-name": token.key, tabindex: "-1", role: "button" }, token.text));
    }
    at += token.text.length;
  }
  return row;
}

function goneRow(n) {
  const row = element("code", { class: "row gone" });
  row.append(element("span", { class: "no" }, "−"), lineText(n));
  return row;
}

function fillPart(view, part, pre) {
  const found = layersOfLines(view, part), difference = differenceTo(view);
  const rows = document.createDocumentFragment();
  const isHidden = (i) => state.layer >= 0 && found[i - part.from] >= 0 && found[i - part.from] !== state.layer && !state.unfolded.has(view.id + ":" + i);
  for (let i = part.from; i < part.to; i++) {
    if (isHidden(i)) {
      const from = i, which = new Set();
      while (i < part.to && isHidden(i)) which.add(found[i++ - part.from]);
      const lines = i - from;
      rows.append(element("button", { class: "fold", type: "button", onclick: () => {
        for (let k = from; k < from + lines; k++) state.unfolded.add(view.id + ":" + k);
        render(false);
      } }, `${which.size} more layer${which.size > 1 ? "s" : ""} like this · ${lines} lines`));
      i--;
      continue;
    }
    if (state.showGone && difference && difference.gone.has(i)) for (const n of difference.gone.get(i)) rows.append(goneRow(n));
    rows.append(rowOf(view, part, i));
  }
  pre.replaceChildren(rows);
}

function renderText(view, jump) {
  const hits = hitsOf.get(view) || new Set(), difference = differenceTo(view);
  const parts = partsOf(view);
  const holder = element("div", { class: "scroll", id: "text", tabindex: "0", "aria-label": "text of " + view.title });
  for (const part of parts) {
    let count = 0;
    for (const i of hits) if (i >= part.from && i < part.to) count++;
    const key = view.id + "/" + part.title;
    const byDefault = view.id === "memory" ? part.kernel < 0 : view.kind === "graph" && part.head >= 0 || (parts.length < 3) || part === parts.find((other) => other.kernel >= 0);
    const open = count > 0 || state.kernel === part.kernel && part.kernel >= 0 || (state.open.has(key) ? state.open.get(key) : byDefault);
    const pre = element("pre", {});
    const details = element("details", { class: "part", "data-part": part.title, ontoggle: () => {
      state.open.set(key, details.open);
      if (details.open && !pre.firstChild) fillPart(view, part, pre);
    } }, element("summary", {}, element("span", { class: "mono" }, part.title),
      count ? element("span", { class: "hits" }, `${count} line${count > 1 ? "s" : ""}`) : null), pre);
    if (open) {
      fillPart(view, part, pre);
      details.open = true;
    }
    holder.append(details);
  }
  const goneCount = difference ? [...difference.gone.values()].reduce((sum, list) => sum + list.length, 0) : 0;
  const added = difference ? difference.mark.filter((mark) => mark === "add").length : 0;
  const bar = element("div", { class: "bar" }, element("span", { class: "grow" }, view.holds));
  if (difference) {
    bar.append(element("span", { class: "legend" }, element("span", { class: "add" }, `+${added}`),
      element("span", { class: "move" }, "moved")),
    element("button", { type: "button", "aria-pressed": String(state.showGone), onclick: () => { state.showGone = !state.showGone; render(false); } },
      (state.showGone ? "hide" : "show") + ` ${goneCount} removed`));
  } else if (!view.changed) bar.append(element("span", {}, "(unchanged)"));
  const kept = byId("text") && state.rendered === view.id ? byId("text").scrollTop : 0;
  byId("right").replaceChildren(bar, holder);
  holder.scrollTop = kept;
  if (jump) goToHit(0, true);
  holder.addEventListener("click", (event) => {
    const name = event.target.closest("[data-name]"), row = event.target.closest("[data-statement]");
    if (name) selectValue(name.dataset.name);
    else if (row && !String(window.getSelection())) selectStatement(Number(row.dataset.kernel), Number(row.dataset.statement));
  });
}

/* Rows that are hits; `step` places further than the last one. */
function goToHit(step, first) {
  const rows = [...document.querySelectorAll("#text .row.hit, #text .row.statement")];
  const part = state.kernel >= 0 ? document.querySelector(`#text details[data-part="kernel ${kernelNames[state.kernel]}"], #text details[data-part="${kernelNames[state.kernel]}"]`) : null;
  if (!rows.length) {
    if (first && part) byId("text").scrollTop = part.offsetTop;
    return;
  }
  state.hit = first ? 0 : (state.hit + step + rows.length) % rows.length;
  const row = rows[state.hit];
  byId("text").scrollTop = row.getBoundingClientRect().top - byId("text").getBoundingClientRect().top + byId("text").scrollTop - byId("text").clientHeight / 3;
  if (!first) say(`place ${state.hit + 1} of ${rows.length}`);
}
