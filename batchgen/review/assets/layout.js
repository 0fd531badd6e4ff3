/** Where each row of the grid lies. Cards have their clips' own aspect and about the same area. Pure. */

export const GAP = 12;
const PAD = 16;
const HEAD = 44;
const CAPTION = 26;
const NARROWEST = 132;

/** @typedef {{top: number, height: number, keys: string[], width: number, first: number, section: number}} Row */
/** @typedef {{id: string, top: number, height: number, head: number, from: number, to: number, keys: string[]}} Section */

/** How much wider than asked for cells may be, so that a row ends where the page does. */
const STRETCH = 1.25;

/** The width of a picture with some aspect: with the area that 16:9 would have, and no narrower than its words need. */
const widthOf = (aspect, size, widest) => Math.min(widest, Math.max(NARROWEST, size * Math.min(1, Math.sqrt(aspect / (16 / 9)))));

/**
 * Lay groups of clips out below each other.
 * @param {{id: string, keys: string[]}[]} groups
 * @param {{width: number, size: number, aspectOf: (key: string) => number, headOf: (group: any) => number}} how
 *   headOf: what a group's line needs more than its usual height
 * @returns {{rows: Row[], sections: Section[], height: number, rowOf: Map<string, number>}}
 */
export function layOut(groups, { width, size, aspectOf, headOf }) {
  const rows = [];
  const sections = [];
  const rowOf = new Map();
  const inner = width - 2 * PAD;
  let top = groups[0]?.id ? 0 : PAD;
  let first = 0;
  for (const group of groups) {
    const head = group.id ? HEAD + headOf(group) : 0;
    const aspects = [...new Set(group.keys.map(aspectOf))];
    const least = Math.max(...aspects.map((aspect) => widthOf(aspect, size, inner)));
    const columns = Math.max(1, Math.floor((inner + GAP) / (least + GAP)));
    const cell = Math.floor(Math.min(least * (columns > 1 ? STRETCH : 2), (inner + GAP) / columns - GAP));
    const high = Math.round(Math.max(...aspects.map((aspect) => widthOf(aspect, cell, cell) / aspect))) + CAPTION;
    const section = { id: group.id, top, head, from: rows.length, to: 0, height: 0, keys: group.keys };
    top += head;
    for (let start = 0; start < group.keys.length; start += columns) {
      const keys = group.keys.slice(start, start + columns);
      for (const key of keys) rowOf.set(key, rows.length);
      rows.push({ top, height: high, keys, width: cell, first: first + start, section: sections.length });
      top += high + GAP;
    }
    first += group.keys.length;
    section.to = rows.length;
    section.height = top - section.top;
    sections.push(section);
  }
  return { rows, sections, height: top + PAD, rowOf };
}

/** The index of the first row that ends below a height. */
export function rowAt(rows, height) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].top + rows[middle].height < height) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The clips whose cards a rectangle of the laid-out page touches, in order. @param {Row[]} rows @returns {string[]} */
export function keysIn(rows, { left, top, right, bottom }) {
  const found = [];
  for (let at = rowAt(rows, top); at < rows.length && rows[at].top <= bottom; at += 1) {
    const { keys, width } = rows[at];
    keys.forEach((key, column) => {
      const start = PAD + column * (width + GAP);
      if (start <= right && start + width >= left) found.push(key);
    });
  }
  return found;
}
