/** Staying up to date: polls while the run goes on, says calmly when nobody answers, and counts what is new. */
import { $, setText } from './dom.js';
import { plural } from './words.js';

const SHOWN_MS = 2000;
const HIDDEN_MS = 15_000;

export class Live {
  #app;
  #timer = 0;
  #asking = null;
  /** @type {Set<string>} clips that were finished since, and not seen yet */
  #fresh = new Set();
  /** @type {Map<string, string>} */
  #states = new Map();

  constructor(app) {
    this.#app = app;
    this.online = true;
    app.store.on((change) => this.#count(change));
    $('pill').addEventListener('click', () => this.#goToFresh());
    document.addEventListener('visibilitychange', () => {
      app.grid.playback.settle();
      if (!document.hidden) this.poll();
    });
  }

  /** Find the batch, and show it. */
  async begin() {
    try {
      await this.#app.api.begin();
      const { batches } = await this.#app.api.batches();
      this.#app.header.offer(batches);
    } catch (error) {
      this.trouble(error);
      this.#timer = setTimeout(() => this.begin(), SHOWN_MS);
      return;
    }
    await this.poll();
    this.#app.choices.begin();
  }

  /** Show another batch. */
  async open(name) {
    this.#app.api.batch = name;
    location.hash = `#b=${encodeURIComponent(name)}`;
    location.reload();
  }

  /** Ask for what has changed, now. */
  poll() {
    this.#asking ??= this.#poll().finally(() => {
      this.#asking = null;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.poll(), document.hidden ? HIDDEN_MS : SHOWN_MS);
    });
    return this.#asking;
  }

  async #poll() {
    try {
      const { store } = this.#app;
      const answer = await this.#app.api.get(`state?since=${encodeURIComponent(store.rev)}`);
      const back = !this.online;
      this.online = true;
      $('trouble').hidden = true;
      if (answer.rev !== store.rev || JSON.stringify(answer.batch) !== JSON.stringify(store.batch)) store.merge(answer);
      if (back || this.#app.choices.waiting) this.#app.choices.flush();
    } catch (error) {
      this.trouble(error);
    }
  }

  /** Say calmly that nobody answers; the choices wait here. */
  trouble(error) {
    this.online = false;
    const { waiting } = this.#app.choices;
    const kept = waiting ? ` ${plural(waiting, 'choice')} will be sent when it is back.` : '';
    const what = !error.status ? 'The server of this page does not answer. Is `batchgen review` still running?'
      : error.status === 403 ? 'This address is no longer valid. Open the one that `batchgen review` printed last.'
        : `The server has a problem: ${error.message}.`;
    setText($('trouble'), what + kept);
    $('trouble').hidden = false;
    this.#app.header.refresh();
  }

  #count({ whole, keys }) {
    for (const key of keys) {
      const clip = this.#app.store.get(key);
      const before = this.#states.get(key);
      this.#states.set(key, clip?.state);
      if (!whole && clip?.state === 'done' && before !== 'done') this.#fresh.add(key);
    }
    this.#show();
  }

  /** Take clips that the reader has before him out of the count. */
  seen(keys) {
    if (!this.#fresh.size) return;
    for (const key of keys) this.#fresh.delete(key);
    this.#show();
  }

  #show() {
    const count = [...this.#fresh].filter((key) => this.#app.arranged.has(key)).length;
    setText($('pill'), `${count} new`);
    $('pill').hidden = !count;
  }

  #goToFresh() {
    const key = this.#app.list().find((each) => this.#fresh.has(each));
    this.#fresh.clear();
    this.#show();
    if (key) this.#app.setFocus(key, { scroll: true });
  }
}
