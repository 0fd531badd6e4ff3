/**
 * Choosing: shown at once, sent in order, kept in this browser until the server has written it, and undoable.
 * A choice that meets another tab's is not written: the reader decides whose counts.
 */
import { ApiError, OfflineError } from './api.js';
import { plural } from './words.js';

/** More clips than this at once are asked about first. */
const ASK_ABOVE = 20;
/** Steps that can be undone. */
const STEPS = 500;

/** @typedef {{cid: string, key: string, set: object, was: object, base?: number}} Change one clip's part of a step */

export class Choices {
  #app;
  #storage;
  /** @type {(Change & {done?: Function})[]} not confirmed by the server yet, in order */
  #queue = [];
  /** @type {Change[][]} */
  #undone = [];
  /** @type {Change[][]} */
  #steps = [];
  #sending = false;

  constructor(app) {
    this.#app = app;
  }

  /** Begin with what an earlier page of this address could not send. */
  begin() {
    this.#storage = `batchgen.choices.${this.#app.api.batch}`;
    try {
      this.#queue = JSON.parse(localStorage.getItem(this.#storage) ?? '[]');
    } catch {
      this.#queue = [];
    }
    this.#show();
    this.flush();
  }

  /** Choices that the server has not written yet. */
  get waiting() {
    return this.#queue.length;
  }

  /** How many steps can be undone and redone. */
  get steps() {
    return [this.#steps.length, this.#undone.length];
  }

  /**
   * Set fields of the choice about clips; the same value again changes nothing.
   * @param {string[]} keys
   * @param {object} set such as {pick: 1}
   * @param {{advance?: boolean, shown?: () => void}} [how] advance: go to the next clip, if auto-advance is on;
   *   shown: is called when the page shows it, long before it is written
   * @returns {Promise<boolean>} true when it is on the server's disk; false when it was called off
   */
  async set(keys, set, { advance = false, shown } = {}) {
    if (keys.length > ASK_ABOVE) {
      const yes = `Change ${keys.length} clips`;
      if (!(await this.#app.ask({ title: `Change ${plural(keys.length, 'clip')} at once?`, lines: ['Ctrl-Z undoes it.'], yes }))) return false;
    }
    const step = keys.map((key) => this.#change(key, set)).filter((change) => change !== null);
    this.#app.unpin(keys);
    const move = advance ? this.#app.afterChoice(keys) : null;
    if (step.length) {
      this.#steps = [...this.#steps.slice(1 - STEPS), step];
      this.#undone = [];
    }
    const sent = this.#send(step);
    move?.();
    shown?.();
    await sent;
    return true;
  }

  /** Take back the latest step, and go to its clip, also when a filter hides it. */
  undo() {
    return this.#again(this.#steps, this.#undone, (change) => [change.was, change.set], 'Undone');
  }

  /** Do again what was undone. */
  redo() {
    return this.#again(this.#undone, this.#steps, (change) => [change.set, change.was], 'Done again');
  }

  #change(key, set) {
    const clip = this.#app.store.get(key);
    if (!clip) return null;
    const wanted = set.pick !== undefined && set.pick !== -1 && clip.choice.reason ? { ...set, reason: '' } : set;
    const names = Object.keys(wanted).filter((name) => JSON.stringify(wanted[name]) !== JSON.stringify(clip.choice[name]));
    if (!names.length) return null;
    const only = (from) => Object.fromEntries(names.map((name) => [name, from[name]]));
    return { cid: newId(), key, set: only(wanted), was: only(clip.choice) };
  }

  #again(from, to, values, word) {
    const step = from.pop();
    if (!step) {
      this.#app.say(`Nothing to ${word === 'Undone' ? 'undo' : 'redo'}`);
      return Promise.resolve();
    }
    to.push(step);
    const back = step.map((change) => {
      const [set, was] = values(change);
      return { cid: newId(), key: change.key, set, was };
    });
    const sent = this.#send(back);
    this.#app.reveal(step.map((change) => change.key));
    const names = step.length === 1 ? this.#app.store.get(step[0].key)?.name ?? 'a clip' : plural(step.length, 'clip');
    this.#app.say(`${word}: ${names}`);
    return sent;
  }

  /** Show changes at once, keep them, and send them when it is their turn. */
  #send(changes) {
    if (!changes.length) return Promise.resolve();
    const answered = changes.map((change) => new Promise((done) => this.#queue.push({ ...change, done })));
    this.#show();
    this.flush();
    return Promise.all(answered);
  }

  /** Keep the queue over a reload, and lay it over what the server has. */
  #show() {
    if (this.#queue.length) localStorage.setItem(this.#storage, JSON.stringify(this.#queue));
    else localStorage.removeItem(this.#storage);
    document.body.dataset.waiting = this.#queue.length;
    const waiting = new Map();
    for (const { key, set } of this.#queue) waiting.set(key, { ...waiting.get(key), ...set });
    this.#app.store.overlay(waiting);
  }

  /** Send what waits; without an answer it stays, until this is called again. */
  async flush() {
    if (this.#sending) return;
    this.#sending = true;
    try {
      while (this.#queue.length && (await this.#sendFirst()));
    } finally {
      this.#sending = false;
    }
  }

  /** @returns {Promise<boolean>} false when nobody answers */
  async #sendFirst() {
    const change = this.#queue[0];
    const { key, set, cid } = change;
    const base = change.base ?? this.#app.store.base(key);
    try {
      const { choice, rev } = await this.#app.api.post('choose', { clip: key, set, base, cid });
      this.#app.store.confirm(key, choice, rev);
    } catch (error) {
      if (error instanceof OfflineError || error.status === 403 || error.status >= 500) {
        this.#app.offline(error);
        return false;
      }
      if (!(error instanceof ApiError)) throw error;
      this.#refused(change, error);
    }
    this.#queue.shift();
    this.#show();
    change.done?.();
    return true;
  }

  /** Another tab was quicker, or the server can't take the value: show what it has, and let the reader decide. */
  #refused(change, error) {
    const name = this.#app.store.get(change.key)?.name ?? 'A clip';
    this.#steps = this.#steps.filter((step) => !step.some((each) => each.cid === change.cid));
    if (error.status !== 409) {
      this.#app.say(`${name} was not changed: ${error.message}`, { sticky: true });
      return;
    }
    const { theirs, rev } = error.body;
    this.#app.store.confirm(change.key, theirs, rev);
    const mine = () => this.#send([{ ...change, cid: newId(), was: theirs, base: rev }]);
    this.#app.say(`${name}: the other tab ${inWords(theirs)}.`, {
      sticky: true,
      actions: [{ label: 'Keep', run: () => {} }, { label: `Take mine: ${inWords(change.set)}`, run: mine }],
    });
  }
}

/** A change in words: `picked it`, `gave it 3 stars`. */
export function inWords(set) {
  const words = [];
  if ('pick' in set) words.push({ 1: 'picked it', '-1': 'rejected it', 0: 'cleared it' }[set.pick]);
  if ('stars' in set) words.push(set.stars ? `gave it ${plural(set.stars, 'star')}` : 'took its stars away');
  if (set.reason) words.push(`gave the reason “${set.reason}”`);
  if ('label' in set) words.push(set.label ? `labelled it ${set.label}` : 'took its label away');
  if ('tags' in set) words.push(set.tags.length ? `tagged it ${set.tags.join(', ')}` : 'took its tags away');
  if ('note' in set) words.push(set.note ? `noted “${set.note}”` : 'took its note away');
  if ('marks' in set) words.push(`changed its notes at frames`);
  return words.join(', ') || ('answers' in set ? 'sent an answer' : 'changed it');
}

/** An id of our own for a change, also where there is no secure origin. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
