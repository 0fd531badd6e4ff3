/**
 * What is known of the batch: clips by key, kept up to date by the deltas of the server, with the reader's own choices
 * laid over those of the server until it has answered.
 */

/** @typedef {{pick: number, stars: number, label: string, tags: readonly string[], note: string,
 *   marks: readonly {frame: number, text: string}[], reason: string, order: number|null}} Choice */

/** A clip that nobody has decided about. @type {Choice} */
export const UNDECIDED = Object.freeze({
  pick: 0, stars: 0, label: '', tags: Object.freeze([]), note: '', marks: Object.freeze([]), reason: '', order: null,
});

/** @typedef {{key: string, name: string, prompt_id: string, group: string, take: number, order: number, cell: Object<string, string>,
 *   prompt: string, seed: number|null, size: string, state: string, file: string|null, v: string, cost_usd: any,
 *   choice: Choice, check: any, flags: string[], [more: string]: any}} Clip */

export class Store {
  constructor() {
    this.batch = null;
    this.rev = '';
    /** @type {Map<string, Clip>} in the order of the manifest */
    this.clips = new Map();
    this.#reset();
  }

  #listeners = new Set();
  /** What the server has, where the reader's own choice is not answered yet. @type {Map<string, any>} */
  #server;
  /** @type {Map<string, object>} fields that the reader has set and the server has not confirmed */
  #overlay;
  /** @type {Map<string, number>} the revision of the picks up to which a clip's choice is known */
  #seen;
  /** @type {Map<string, Clip[]>} by prompt: in a matrix, of one cell */
  #takes;
  /** @type {Map<string, Clip[]>} by group: the takes of a prompt in all cells of its matrix */
  #groups;

  /** @type {[string, Clip[]][]|null} */
  #listed = null;

  #reset() {
    this.#server = new Map();
    this.#overlay = new Map();
    this.#seen = new Map();
    this.#takes = new Map();
    this.#groups = new Map();
  }

  /** @returns {Clip|undefined} */
  get(key) {
    return this.clips.get(key);
  }

  /** All takes of a clip's prompt, itself too, in order. */
  siblings(key) {
    const clip = this.clips.get(key);
    return clip ? this.#takes.get(clip.prompt_id) ?? [] : [];
  }

  /** All groups with their clips: [id, clips] in order. @returns {[string, Clip[]][]} */
  groups() {
    return (this.#listed ??= [...this.#groups]);
  }

  /** All clips of a clip's group, itself too, in order: made of the same words but for the matrix. */
  family(key) {
    const clip = this.clips.get(key);
    return clip ? this.#groups.get(clip.group) ?? [] : [];
  }

  /** Be called after each change with {whole, keys, own}; own: the reader made it. @returns {() => void} stops it */
  on(fn) {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  /** Take an answer of `state`. */
  merge(answer) {
    const known = Number(answer.rev.split('.')[1] ?? 0);
    const keys = new Set();
    if (answer.whole) this.clips.clear();
    this.batch = answer.batch;
    this.rev = answer.rev;
    let placed = false;
    for (const clip of answer.clips) {
      placed = this.#place(clip, known) || placed;
      keys.add(clip.key);
    }
    this.#picks = known;
    if (placed || answer.whole) this.#sort();
    this.#emit({ whole: answer.whole, keys });
  }

  #picks = 0;

  /** Put a clip where it belongs. @returns {boolean} true when it is a new one */
  #place(clip, known) {
    const old = this.clips.get(clip.key);
    // An answer that left before our own change was written knows less than we do.
    const stale = (this.#seen.get(clip.key) ?? 0) > known;
    this.#server.set(clip.key, stale ? this.#server.get(clip.key) : { ...UNDECIDED, ...clip.choice });
    clip.choice = this.#effective(clip.key);
    if (!old) this.clips.set(clip.key, clip);
    else Object.assign(old, clip);
    return !old || old.order !== clip.order;
  }

  #sort() {
    const sorted = [...this.clips.values()].sort((a, b) => a.order - b.order || a.take - b.take);
    this.clips.clear();
    this.#takes.clear();
    this.#groups.clear();
    this.#listed = null;
    for (const clip of sorted) {
      this.clips.set(clip.key, clip);
      for (const [map, id] of [[this.#takes, clip.prompt_id], [this.#groups, clip.group]]) {
        if (map.has(id)) map.get(id).push(clip);
        else map.set(id, [clip]);
      }
    }
  }

  #effective(key) {
    return { ...UNDECIDED, ...this.#server.get(key), ...this.#overlay.get(key) };
  }

  #refresh(keys, own) {
    for (const key of keys) {
      const clip = this.clips.get(key);
      if (clip) clip.choice = this.#effective(key);
    }
    this.#emit({ whole: false, keys: new Set(keys), own });
  }

  #emit(change) {
    for (const fn of this.#listeners) fn(change);
  }

  /** The revision of the picks up to which a clip's choice has been seen. */
  base(key) {
    return Math.max(this.#picks, this.#seen.get(key) ?? 0);
  }

  /** Show the reader's own values until they are confirmed: a map of key to all fields that wait for an answer. */
  overlay(waiting) {
    const keys = new Set([...this.#overlay.keys(), ...waiting.keys()]);
    this.#overlay = waiting;
    this.#refresh(keys, true);
  }

  /** Take what the server says about a clip's choice, as of a revision. */
  confirm(key, choice, rev) {
    this.#server.set(key, { ...UNDECIDED, ...this.#server.get(key), ...choice });
    this.#seen.set(key, Math.max(rev, this.#seen.get(key) ?? 0));
    this.#refresh([key], false);
  }
}
