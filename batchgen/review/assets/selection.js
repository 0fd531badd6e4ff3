/**
 * Which clips are selected: decisions in the grid are about them all. A click with Shift or Ctrl, a rectangle, B, a long
 * press and Ctrl-A select; Esc ends it.
 */

export class Selection {
  #app;
  /** @type {Set<string>} */
  #keys = new Set();
  /** Where a range begins. @type {string|null} */
  #anchor = null;

  constructor(app) {
    this.#app = app;
    /** True after B or a long press: moving keeps the selection, and a plain click adds to it. */
    this.collecting = false;
  }

  get size() {
    return this.#keys.size;
  }

  has(key) {
    return this.#keys.has(key);
  }

  [Symbol.iterator]() {
    return this.#keys[Symbol.iterator]();
  }

  /** All selected clips that are shown, in their order. */
  shown() {
    return this.#app.list().filter((key) => this.#keys.has(key));
  }

  /** Select these and no others. */
  set(keys) {
    const before = this.#keys;
    this.#keys = new Set(keys);
    const changed = new Set([...before].filter((key) => !this.#keys.has(key)));
    for (const key of this.#keys) if (!before.has(key)) changed.add(key);
    if (changed.size) this.#app.selectionChanged(changed);
  }

  /** Select from where the selection began to a clip. @param {string|null} [from] where it begins, if there is none yet */
  to(key, from = this.#app.focus) {
    this.#anchor ??= from;
    const list = this.#app.list();
    const [first, last] = [this.#anchor, key].map((each) => list.indexOf(each)).sort((a, b) => a - b);
    this.set(list.slice(Math.max(0, first), last + 1));
  }

  /** Add a clip to the selection, or to one other where there is none; or take it out. */
  also(key, other = this.#app.focus) {
    this.#toggle(key, this.size ? this.#keys : [other]);
  }

  /** Begin or go on collecting: a clip is added or taken out, and the selection stays while the reader moves. */
  collect(key) {
    this.#toggle(key, this.#keys);
    this.collecting = this.size > 0;
  }

  #toggle(key, others) {
    const keys = new Set(others);
    if (!keys.delete(key)) keys.add(key);
    this.#anchor = key;
    this.set(keys);
  }

  /** Going to another clip ends a selection, unless clips are being collected. */
  moved() {
    if (!this.collecting) this.clear();
  }

  clear() {
    this.#anchor = null;
    this.collecting = false;
    this.set([]);
  }
}
