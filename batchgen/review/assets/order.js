/** The order of picks in the hand-over: numbers with room between them, so that a move changes one clip. Pure. */

/** @typedef {import('./store.js').Clip} Clip */

/** Distance of two neighbours in a new order. */
const GAP = 1000;

/** All picks with a film, in their order; those without a number last, as they come. @param {Iterable<Clip>} clips @returns {Clip[]} */
export function picksInOrder(clips) {
  const place = (clip) => clip.choice.order ?? Number.MAX_SAFE_INTEGER;
  return [...clips].filter((clip) => clip.choice.pick === 1 && clip.file).sort((a, b) => place(a) - place(b)); // sort is stable
}

/** A list with one item moved to another index. */
export function moved(items, from, to) {
  const rest = items.filter((_, index) => index !== from);
  rest.splice(Math.min(Math.max(to, 0), rest.length), 0, items[from]);
  return rest;
}

/**
 * The numbers to write so that the clips come in this order: one of them where there is room, else as many as it takes.
 * @param {Clip[]} clips in the order that is wanted
 * @param {number} at the index of the one that was moved
 * @returns {Map<string, number>} key → order
 */
export function renumbered(clips, at) {
  const before = at > 0 ? clips[at - 1].choice.order : 0;
  const after = at < clips.length - 1 ? clips[at + 1].choice.order : (before ?? 0) + 2 * GAP;
  const others = clips.filter((_, index) => index !== at).map((clip) => clip.choice.order);
  const sorted = others.every((order, index) => order !== null && (index === 0 || others[index - 1] < order));
  if (sorted && after - before > 1) return new Map([[clips[at].key, Math.floor((before + after) / 2)]]);
  return new Map(clips.map((clip, index) => [clip.key, (index + 1) * GAP]));
}
