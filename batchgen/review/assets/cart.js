/**
 * The follow-up cart: more takes, edited prompts, final sizes. It is priced by the server against the budget that is
 * left, and written as a manifest. The page never spends: the command is for the terminal.
 *
 * @typedef {{kind: 'takes'|'edit'|'final', clip: string, count: number, prompt?: string, size?: string}} CartLine
 */

/** Takes that one press of R adds, and that an edited prompt or a final size begins with. */
export const FIRST_COUNT = 2;
const MOST_TAKES = 100;

export class Cart {
  #listeners = new Set();
  /** @type {CartLine[]} */
  #lines = [];
  /** The batch whose cart is loaded. */
  #batch = '';

  constructor(app) {
    this.app = app;
  }

  /** What is in the cart of the batch that is shown. @returns {CartLine[]} */
  get lines() {
    if (this.#batch !== this.app.api.batch) this.#load();
    return this.#lines;
  }

  get length() {
    return this.lines.length;
  }

  /** Be called after each change. @returns {() => void} stops it */
  on(fn) {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  /** Add a line; the same wish about the same clip again raises its count. @param {CartLine} line */
  add(line) {
    const same = this.lines.find((each) =>
      ['kind', 'clip', 'prompt', 'size'].every((name) => each[name] === line[name]),
    );
    if (same) this.setCount(same, same.count + line.count);
    else this.#change([...this.lines, line]);
  }

  /** @param {CartLine} line @param {number} count from 1 */
  setCount(line, count) {
    const counted = Math.min(Math.max(Math.round(count) || 1, 1), MOST_TAKES);
    this.#change(this.lines.map((each) => (each === line ? { ...each, count: counted } : each)));
  }

  /** @param {CartLine} line */
  remove(line) {
    this.#change(this.lines.filter((each) => each !== line));
  }

  clear() {
    this.#change([]);
  }

  /** What it would cost, and what is left. Writes nothing. @returns {Promise<any>} as the API's follow-up answers */
  price(lines = this.lines) {
    return this.app.api.post('follow-up', { lines, write: false });
  }

  /** Write the manifest of the follow-up. @param {string} [name] of the new batch @returns {Promise<any>} */
  write(name) {
    return this.app.api.post('follow-up', { lines: this.lines, write: true, ...(name ? { name } : {}) });
  }

  /** Kept in this tab, over a reload. */
  get #storage() {
    return `batchgen.cart.${this.app.api.batch}`;
  }

  #load() {
    this.#batch = this.app.api.batch;
    try {
      this.#lines = JSON.parse(sessionStorage.getItem(this.#storage) ?? '[]');
    } catch {
      this.#lines = []; // written by something else: an empty cart loses no decision
    }
  }

  #change(lines) {
    this.#lines = lines;
    sessionStorage.setItem(this.#storage, JSON.stringify(lines));
    for (const fn of this.#listeners) fn();
  }
}

/** A line in words: `dawn_1: 2 more takes`. */
export function lineWords({ kind, count, size }, name, sizeText = size) {
  const takes = `${count} ${kind === 'takes' ? 'more ' : 'new '}take${count === 1 ? '' : 's'}`;
  return {
    takes: `${name}: ${takes}`,
    edit: `${name}, edited prompt: ${takes}`,
    final: `${name} at ${sizeText}: ${takes}`,
  }[kind];
}
