/** Clips as a table: one axis gives the columns, one the rows, and the others are tabs. Pure. */

/** @typedef {import('./store.js').Clip} Clip */
/** @typedef {{name: string, values: string[]}} Axis */
/** @typedef {{row: string, column: string, clips: Clip[]}} Cell its clips with the best first */

/** Axes that every batch may have, next to those of its matrix. @type {[string, (clip: Clip) => any][]} */
const OWN = [
  ['model', (clip) => clip.model],
  ['size', (clip) => clip.size],
  ['prompt', (clip) => clip.group],
  ['take', (clip) => clip.take],
];

/** The value of a clip on an axis; an empty text where it has none. */
export function valueOf(clip, axis) {
  const found = clip.cell?.[axis] ?? OWN.find(([name]) => name === axis)?.[1](clip);
  return found === undefined || found === null ? '' : String(found);
}

/**
 * The axes of a table, the matrix's own first; what has only one value gives no axis.
 * @param {Axis[]} named axes of the manifest, with their values in its order
 * @param {Clip[]} clips
 * @returns {Axis[]}
 */
export function axesOf(named, clips) {
  const given = (named.length ? named : cellAxes(clips)).map(({ name, values }) => ({
    name,
    values: values.map(String),
  }));
  const others = OWN.filter(([name]) => !given.some((axis) => axis.name === name)).map(([name, of]) => ({
    name,
    values: [...new Set(clips.map((clip) => String(of(clip) ?? '')))],
  }));
  // Takes are stacked in their cell.
  const useful = [...given, ...others].filter(({ values }) => values.length > 1);
  const stacked = useful.length > 2 ? useful.filter(({ name }) => name !== 'take') : useful;
  return stacked.length >= 2 ? stacked : useful;
}

/** The axes of clips whose manifest is not at hand, in the order in which the clips have them. */
function cellAxes(clips) {
  const found = new Map();
  for (const { cell } of clips) {
    for (const [name, value] of Object.entries(cell ?? {}))
      found.set(name, (found.get(name) ?? new Set()).add(String(value)));
  }
  return [...found].map(([name, values]) => ({ name, values: [...values] }));
}

/** Picks first, then by stars, then what was made, then by take. */
export function bestFirst(a, b) {
  return (
    b.choice.pick - a.choice.pick ||
    b.choice.stars - a.choice.stars ||
    Number(Boolean(b.file)) - Number(Boolean(a.file)) ||
    a.take - b.take ||
    a.order - b.order
  );
}

/**
 * The cells of a table, row by row.
 * @param {Iterable<Clip>} clips
 * @param {Axis} rows
 * @param {Axis} columns
 * @param {Record<string, string>} fixed the value of each other axis
 * @returns {Cell[][]}
 */
export function table(clips, rows, columns, fixed) {
  const found = new Map();
  for (const clip of clips) {
    if (Object.entries(fixed).some(([axis, value]) => valueOf(clip, axis) !== value)) continue;
    const place = JSON.stringify([valueOf(clip, rows.name), valueOf(clip, columns.name)]);
    if (found.has(place)) found.get(place).push(clip);
    else found.set(place, [clip]);
  }
  return rows.values.map((row) =>
    columns.values.map((column) => {
      const stack = found.get(JSON.stringify([row, column])) ?? [];
      return { row, column, clips: stack.sort(bestFirst) };
    }),
  );
}

/** Why a cell shows no film, in words; empty when it has one. @param {Clip|undefined} clip the one on top of its stack */
export function missing(clip, words) {
  if (!clip) return 'not in the manifest';
  return clip.file ? '' : clip.reason || (words[clip.state] ?? clip.state);
}
