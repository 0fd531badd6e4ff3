/** The header: which batch, how far it is, what it cost, how many are decided, and the control of a live run. */
import { $, button, el, setText } from './dom.js';
import { duration, micro, money, plural } from './words.js';

const PAUSE = { title: 'Pause submissions?', lines: ['Clips that are in flight are collected. Nothing new is paid for until you resume.'], yes: 'Pause' };
const STOP = { title: 'Stop submitting?', lines: ['The run collects what is in flight, then ends. `batchgen run` goes on later.'], yes: 'Stop' };

export class Header {
  #app;
  #parts;

  constructor(app) {
    this.#app = app;
    this.several = false;
    const name = el('b', { class: 'name' });
    const batches = el('select', { 'aria-label': 'Batch', hidden: true, on: { change: () => app.live.open(batches.value) } });
    const facts = el('span', { class: 'facts' });
    const decided = el('progress', { 'aria-label': 'Decided' });
    const words = el('span', { class: 'decided' });
    const live = el('span', { class: 'live' });
    const pause = button('⏸ Pause', () => this.#control('pause', PAUSE), { class: 'control' });
    const resume = button('▶ Resume', () => this.#control('resume'), { class: 'control' });
    const stop = button('■ Stop', () => this.#control('stop', STOP), { class: 'control' });
    const cart = button('', () => app.keys.entries.find((entry) => entry.name === 'cart')?.run(app), { class: 'cart' });
    const help = button('?', () => app.keys.entries.find((entry) => entry.keys.includes('?')).run(app), { title: 'All keys (?)', 'aria-label': 'All keys' });
    $('header').replaceChildren(name, batches, facts, decided, words, live, pause, resume, stop, cart, help);
    this.#parts = { name, batches, facts, decided, words, live, pause, resume, stop, cart };
  }

  /** Offer the batches of the server, and open the one of the address, or the first. */
  offer(batches) {
    const names = batches.map((batch) => batch.name ?? batch);
    const wanted = new URLSearchParams(location.hash.slice(1)).get('b');
    this.#app.api.batch = names.includes(wanted) ? wanted : names[0] ?? '';
    this.several = names.length > 1;
    this.#parts.batches.replaceChildren(...names.map((name) => el('option', { value: name, text: name })));
    this.#parts.batches.value = this.#app.api.batch;
    this.#parts.batches.hidden = !this.several;
    this.#parts.name.hidden = this.several;
  }

  async #control(what, question) {
    if (question && !(await this.#app.ask(question))) return;
    const answer = await this.#app.attempt(this.#app.api.post('control', { do: what }));
    if (answer) this.#app.live.poll();
  }

  refresh() {
    const { batch } = this.#app.store;
    if (!batch) return;
    const { name, facts, decided, words, live, pause, resume, stop, cart } = this.#parts;
    const clips = [...this.#app.store.clips.values()];
    const done = clips.filter((clip) => clip.state === 'done');
    const judged = done.filter((clip) => clip.choice.pick).length;
    const picks = done.filter((clip) => clip.choice.pick === 1).length;
    setText(name, batch.name);
    document.title = `${batch.name} · batchgen review`;
    setText(facts, factsOf(batch, clips.filter((clip) => clip.wanted)));
    [decided.max, decided.value] = [Math.max(1, done.length), judged];
    setText(words, `${judged} of ${done.length} decided, ${plural(picks, 'pick')}`);
    const on = batch.live && this.#app.live.online;
    live.dataset.live = on;
    setText(live, liveWords(batch, this.#app.live.online));
    pause.hidden = !on || !['running', undefined].includes(batch.control ?? undefined);
    resume.hidden = !on || batch.control !== 'paused';
    stop.hidden = !on || batch.control === 'stopping';
    setText(cart, `Follow-up ${this.#app.cart.length}`);
    cart.hidden = !this.#app.cart.length;
  }
}

function factsOf(batch, wanted) {
  const count = (...states) => wanted.filter((clip) => states.includes(clip.state)).length;
  const failed = count('failed', 'blocked', 'lost');
  const unconfirmed = count('unconfirmed');
  const spent = money(micro(batch.spent_usd));
  return [
    batch.sandbox ? 'sandbox' : '',
    `${count('done')} of ${wanted.length} done`,
    batch.max_usd === null ? spent : `${spent} of ${money(micro(batch.max_usd))}`,
    failed ? `${failed} failed` : '',
    unconfirmed ? `${unconfirmed} unconfirmed` : '',
  ].filter(Boolean).join(' · ');
}

function liveWords(batch, online) {
  if (!online) return 'no connection';
  if (!batch.live) return 'no run';
  if (batch.control === 'paused' || batch.control === 'stopping') return batch.control;
  const rate = batch.rate_per_min ? `, ${batch.rate_per_min} a minute` : '';
  return `live${rate}${batch.eta_s ? `, ${duration(batch.eta_s)} left` : ''}`;
}
