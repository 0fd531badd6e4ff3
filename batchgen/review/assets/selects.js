/** The string-out: the picks one after the other, as a rough cut, with their order changed by keys or by drag. */

import { button, el, setAttr, setText } from './dom.js';
import { moved, picksInOrder, renumbered } from './order.js';
import { FilmPair } from './pair.js';
import { refreshThumb, thumb, viewBar } from './parts.js';
import { Transport, transportEntries } from './transport.js';
import { duration, plural } from './words.js';

class Selects {
  index = 0;

  constructor(app) {
    this.app = app;
    this.films = new FilmPair(app, { onEnd: () => this.#ended() });
    this.transport = new Transport(this.films, () => this.#showState());
    this.stage = el('div', { class: 'stage' });
    this.where = el('span', { class: 'where' });
    this.list = el('ol', {
      class: 'string',
      'aria-label': 'Picks in order',
      on: { pointerdown: (event) => this.#drag(event) },
    });
    this.playButton = button('▶', () => this.transport.toggle(), { 'aria-label': 'Play or stop' });
    this.element = el(
      'section',
      { class: 'view selects', 'aria-label': 'Picks in order', tabindex: '-1' },
      viewBar(app, 'Picks in order', this.where),
      this.stage,
      el(
        'div',
        { class: 'transport' },
        this.playButton,
        button('Earlier', () => this.move(-1), { title: 'Move it one earlier ([)' }),
        button('Later', () => this.move(1), { title: 'Move it one later (])' }),
      ),
      this.list,
    );
    this.off = app.store.on(() => this.#changed());
    this.picks = picksInOrder(app.store.clips.values());
    this.index = Math.max(
      0,
      this.picks.findIndex(({ key }) => key === app.focus),
    );
    this.#drawList();
    this.show(this.index);
  }

  // --- what it shows --------------------------------------------------------------------------------------------

  /** Show a pick, and play it. @param {number} index */
  show(index) {
    this.index = Math.min(Math.max(index, 0), this.picks.length - 1);
    const clip = this.picks[this.index];
    if (!clip) return void this.app.pop();
    this.transport.close();
    const film = this.films.show(clip);
    this.stage.replaceChildren(film.video);
    this.app.setFocus(clip.key);
    this.transport.begin();
    this.films.prepare(this.picks[this.index + 1]);
    this.#showState();
  }

  /** Move the shown pick in the order. @param {number} by */
  move(by) {
    this.moveTo(this.index, this.index + by);
  }

  /** Move a pick to another index; the order is kept with the choices, and Ctrl-Z takes it back. */
  async moveTo(from, to) {
    const target = Math.min(Math.max(to, 0), this.picks.length - 1);
    if (from === target) return;
    const order = moved(this.picks, from, target);
    await Promise.all([...renumbered(order, target)].map(([key, at]) => this.app.choices.set([key], { order: at })));
  }

  close() {
    this.off();
    this.transport.close();
    this.films.close();
  }

  // --- inside ---------------------------------------------------------------------------------------------------

  #ended() {
    if (this.index < this.picks.length - 1) this.show(this.index + 1);
    else this.#showState();
  }

  #changed() {
    const shown = this.picks[this.index]?.key;
    this.picks = picksInOrder(this.app.store.clips.values());
    const at = this.picks.findIndex(({ key }) => key === shown);
    this.#drawList();
    if (at < 0) this.show(this.index);
    else this.index = at;
    this.#showState();
  }

  #drawList() {
    const keys = this.picks.map(({ key }) => key).join();
    if (this.list.dataset.keys !== keys) {
      this.list.dataset.keys = keys;
      this.list.replaceChildren(
        ...this.picks.map((clip) =>
          el(
            'li',
            {},
            thumb(this.app, clip, () => this.show(this.picks.indexOf(clip))),
            el('span', { class: 'name', text: clip.name }),
          ),
        ),
      );
    }
    this.picks.forEach((clip, index) => refreshThumb(this.list.children[index].firstChild, clip));
  }

  #showState() {
    const seconds = this.picks.reduce((sum, clip) => sum + (clip.got?.duration_s ?? clip.duration ?? 0), 0);
    setText(this.where, `${this.index + 1} of ${plural(this.picks.length, 'pick')}, ${duration(seconds)}`);
    setText(this.playButton, this.transport.playing ? '❚❚' : '▶');
    [...this.list.children].forEach((node, index) =>
      setAttr(node, 'aria-current', index === this.index ? 'true' : null),
    );
  }

  /** Drag a pick: it goes where it is dropped. A short movement is a click. */
  #drag(event) {
    const node = event.target.closest('li');
    if (!node || event.button !== 0) return;
    const from = [...this.list.children].indexOf(node);
    const end = new AbortController();
    const over = (at) =>
      [...this.list.children].findIndex((each) => {
        const box = each.getBoundingClientRect();
        return at.clientX >= box.left && at.clientX <= box.right && at.clientY >= box.top && at.clientY <= box.bottom;
      });
    const move = (at) => {
      if (Math.hypot(at.clientX - event.clientX, at.clientY - event.clientY) < 8) return;
      node.dataset.dragged = '';
      node.style.translate = `${at.clientX - event.clientX}px 0`;
    };
    const drop = (at) => {
      end.abort();
      const dragged = 'dragged' in node.dataset;
      node.style.translate = '';
      const to = over(at);
      delete node.dataset.dragged;
      if (dragged && at.type === 'pointerup' && to >= 0) this.moveTo(from, to);
    };
    addEventListener('pointermove', move, { signal: end.signal });
    for (const name of ['pointerup', 'pointercancel']) addEventListener(name, drop, { signal: end.signal });
  }
}

/** Open the string-out. @param {any} app */
export function openSelects(app) {
  if (!picksInOrder(app.store.clips.values()).length)
    return void app.say('Nothing is picked yet: P picks the clip in focus');
  const selects = new Selects(app);
  app.push({ name: 'selects', element: selects.element, view: selects, close: () => selects.close() });
}

const MODES = ['selects'];
const here = (run) => (app) => run(app.mode.view);

/** @type {import('./keys.js').Entry[]} */
export const entries = [
  {
    keys: ['o'],
    does: 'Play the picks in order',
    group: 'View',
    icon: '▷',
    modes: ['grid', 'matrix', 'loupe'],
    run: openSelects,
  },
  { keys: ['ArrowLeft'], does: 'Previous pick', group: 'Move', modes: MODES, run: here((it) => it.show(it.index - 1)) },
  { keys: ['ArrowRight'], does: 'Next pick', group: 'Move', modes: MODES, run: here((it) => it.show(it.index + 1)) },
  { keys: ['['], does: 'Move it one earlier', group: 'Decide', modes: MODES, run: here((it) => it.move(-1)) },
  { keys: [']'], does: 'Move it one later', group: 'Decide', modes: MODES, run: here((it) => it.move(1)) },
  ...transportEntries(MODES),
];
