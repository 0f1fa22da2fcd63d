// record.js - what a page keeps of a job: its steps, its maps at each pruning, its events; fed by the
// live stream or by asking, which may bring the same row twice. It does not grow without end: of
// steps that nobody could tell apart in a picture one is kept, of a map the numbers that are drawn.

const MOST_ROWS = 8000;

/** What can be drawn of a map, one number each. */
export const drawn = ["rank", "sparsity", "n_nonzero", "update_norm", "churn"];

export const isEvaluation = (row) => row.valid_loss !== undefined;

/** Where `step` is, or belongs, in rows sorted by step; most often at the end. */
function placeOf(rows, step) {
  let low = rows.length;
  while (low > 0 && rows[low - 1].step >= step) low -= 1;
  return low;
}

function put(rows, row) {
  const at = placeOf(rows, row.step);
  rows.splice(at, rows[at]?.step === row.step ? 1 : 0, row);
}

/** Of two neighbours the one that stands out more stays; evaluations all do. */
function halve(rows) {
  const out = [];
  for (let i = 0; i < rows.length; i += 1) {
    const a = rows[i], b = rows[i + 1];
    if (!b || isEvaluation(a) || isEvaluation(b)) {
      out.push(a);
      continue;
    }
    const before = out.at(-1)?.train_loss ?? a.train_loss;
    out.push(Math.abs(a.train_loss - before) > Math.abs(b.train_loss - before) ? a : b);
    i += 1;
  }
  return out;
}

export function newRecord() {
  const maps = [], places = new Map();
  let rows = [];
  const frames = [], events = [], eventIds = new Set();

  function placeOfMap(layer) {
    if (!places.has(layer.module)) {
      places.set(layer.module, maps.length);
      maps.push({ module: layer.module, layer: layer.layer, map: layer.map });
    }
    return places.get(layer.module);
  }

  /** A row of the history as {step, time, values}: for each measure a number a map. */
  function frameOf({ step, created_at: time, layers }) {
    const at = layers.map(placeOfMap);
    const values = Object.fromEntries(drawn.map((name) => [name, new Float64Array(maps.length).fill(NaN)]));
    layers.forEach((layer, i) => drawn.forEach((name) => { values[name][at[i]] = layer[name] ?? NaN; }));
    return { step, time, values };
  }

  return {
    maps, frames, events,
    get rows() { return rows; },
    addStep(row) {
      put(rows, row);
      if (rows.length > MOST_ROWS && !isEvaluation(row)) rows = halve(rows);
    },
    addPruning(row) {
      put(frames, frameOf(row));
    },
    addEvent(event) {
      if (eventIds.has(event.id)) return;
      eventIds.add(event.id);
      events.push(event);
    },
    frameOf,
    lastEvaluation: () => rows.findLast(isEvaluation),
  };
}
