/* What is selected: a value, by its key in any stage, or a statement of a kernel. Kernels that several regions share
 * name the values of the first region; what a value of another region is called in the kernel is known from the plan. */
const selected = { value: null, kernel: -1, statement: 0 };

/* Of each kernel: key of a value -> keys of the values that the kernel's text names for it. */
const namesInKernel = (() => {
  const all = kernelNames.map(() => new Map());
  if (!plan) return all;
  const first = kernelNames.map(() => null);
  const put = (map, from, to) => {
    if (!map.has(from)) map.set(from, new Set());
    map.get(from).add(to);
  };
  for (const entry of plan.entries) {
    const graph = word(entry.name);
    for (const step of entry.steps) {
      const [kernel, , buffers, values] = step;
      if (!first[kernel]) first[kernel] = step;
      const [, , model, modelValues] = first[kernel];
      values.forEach((n, i) => {
        if (i < modelValues.length) put(all[kernel], keyOf(word(n), graph), keyOf(word(modelValues[i]), kernelEntry[kernel]));
      });
      buffers.forEach((n, i) => put(all[kernel], keyOfBuffer(word(plan.buffers[n][0])), keyOfBuffer(word(plan.buffers[model[i]][0]))));
    }
  }
  return all;
})();

function namesFor(kernel, value) {
  if (kernel < 0) return new Set([value]);
  const known = namesInKernel[kernel];
  return known && known.size ? known.get(value) || new Set() : new Set([value]);
}

/* Of each kernel the statements that compute the value, as the last kernel text says. */
function statementsOf(value) {
  const found = kernelNames.map(() => new Set());
  if (!lastKernelView) return found;
  for (const part of partsOf(lastKernelView)) {
    if (part.kernel < 0) continue;
    const names = namesFor(part.kernel, value);
    for (let i = part.head + 1; names.size && i < part.to; i++) {
      if (part.statementAt(i) && namesIn(lastKernelView, part, i).some((name) => names.has(name))) {
        found[part.kernel].add(part.statementAt(i));
      }
    }
  }
  return found;
}

/* Lines of a view that have to do with what is selected. */
let hitsOf = new Map(); /* view -> Set of lines */
let statements = [];
function findHits() {
  hitsOf = new Map();
  statements = selected.value === null ? [] : statementsOf(selected.value);
  for (const view of views) {
    const hits = new Set();
    hitsOf.set(view, hits);
    if (selected.value === null && !selected.statement) continue;
    for (const part of partsOf(view)) {
      if (selected.value !== null && view.at) {
        const wanted = part.kernel >= 0 ? statements[part.kernel] : null;
        for (let i = part.from; wanted && wanted.size && i < part.to; i++) if (wanted.has(view.at[i])) hits.add(i);
      } else if (selected.value !== null) {
        const names = namesFor(part.kernel, selected.value);
        for (let i = part.from; names.size && i < part.to; i++) {
          if (namesIn(view, part, i).some((name) => names.has(name))) hits.add(i);
        }
      } else if (part.kernel === selected.kernel && (view.at || view === lastKernelView)) {
        for (let i = part.from; i < part.to; i++) if (part.statementAt(i) === selected.statement) hits.add(i);
      }
    }
  }
}

function selectValue(key) {
  selected.value = key;
  selected.kernel = -1;
  selected.statement = 0;
  changeSelection();
}
function selectStatement(kernel, statement) {
  selected.value = null;
  selected.kernel = kernel;
  selected.statement = statement;
  changeSelection();
}
function changeSelection() {
  findHits();
  const layer = selected.value === null ? undefined : layers.of.get(selected.value);
  if (layer !== undefined && state.layer >= 0 && layer !== state.layer) state.layer = layer;
  writeHash();
  render(true);
}
