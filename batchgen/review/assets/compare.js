/**
 * Compare: two to four clips on one clock, one of them with sound, each at the same frame and the same zoom. `F` shows
 * them in turn in one place, `V` wipes between two, `B` hides which is which.
 */

import { el, setAttr, setText } from './dom.js';
import { Clock } from './clock.js';
import { differing, promptPieces } from './differing.js';
import { Film } from './film.js';
import { timecode } from './frames.js';
import { decideButtons, entryButton, verdict, viewBar } from './parts.js';
import { Timeline } from './timeline.js';
import { shuffled } from './tournament.js';
import { Transport, transportEntries } from './transport.js';
import { aspect } from './words.js';
import { Zoom } from './zoom.js';

/** Pixels of a tile's name, and between tiles. */
const NAME = 34;
const GAP = 6;

/** As many films as a small machine decodes together, and as fit on a screen. */
export const MOST = 4;

export class Compare {
  blind = false;
  silent = false;
  /** `tiles` next to each other, `flip` in one place, `wipe` two over each other. */
  layout = 'tiles';
  /** Index of the tile that has the focus, the sound, and is in front. */
  front = 0;
  /** @type {Map<string, Film>} */
  #films = new Map();

  /** @param {any} app @param {string[]} keys of clips with a film */
  constructor(app, keys) {
    this.app = app;
    this.clock = new Clock({ onFrame: (frame) => this.#at(frame), onMute: () => this.#mute() });
    this.transport = new Transport(this.clock, () => this.refresh());
    this.timeline = new Timeline((frame) => this.transport.seek(frame));
    this.zoom = new Zoom(() => this.refresh());
    this.#build();
    this.sized = new ResizeObserver(() => this.#layOut());
    this.sized.observe(this.tiles);
    this.off = [app.store.on(() => this.refresh()), app.onFocus(() => this.#follow())];
    this.compareKeys(keys);
  }

  // --- what it shows ----------------------------------------------------------------------------------------------

  /** What the page needs to know of this view: the keys that decide mean the tile in front, and stay with it. */
  mode() {
    return {
      element: this.element,
      view: this,
      targets: () => [this.compared[this.front]],
      stays: true,
      close: () => this.close(),
      cover: () => this.transport.pause(),
    };
  }

  /** The clips that are compared now. */
  get clips() {
    return this.compared.map((key) => this.app.store.get(key)).filter(Boolean);
  }

  /** Compare these from now on; the films of clips that stay are kept. @param {string[]} keys @param {string[]} [soon] to load already */
  compareKeys(keys, soon = []) {
    this.compared = keys;
    this.front = Math.min(this.front, keys.length - 1);
    for (const [key, film] of this.#films) {
      if (keys.includes(key) || soon.includes(key)) continue;
      film.close();
      this.#films.delete(key);
    }
    for (const clip of [...keys, ...soon].map((key) => this.app.store.get(key))) {
      if (clip?.file && !this.#films.has(clip.key)) this.#films.set(clip.key, new Film(this.app, clip));
    }
    const films = keys.map((key) => this.#films.get(key));
    this.tiles.replaceChildren(...films.map((film, index) => this.#tile(film, index)), this.handle);
    this.#layOut();
    this.#drive(films);
    this.app.setFocus(keys[this.front]);
    this.refresh();
  }

  /** Give a tile the focus and the sound. @param {number} index */
  toFront(index) {
    this.front = (index + this.compared.length) % this.compared.length;
    this.app.setFocus(this.compared[this.front]);
    this.refresh();
  }

  /** Show them in one place; again: the next one of them. */
  flip() {
    if (this.layout === 'flip') this.toFront(this.front + 1);
    this.layout = 'flip';
    this.refresh();
  }

  /** Wipe between two, and back to tiles. */
  wipe() {
    if (this.compared.length !== 2) return void this.app.say('Wipe compares two clips: select two');
    this.layout = this.layout === 'wipe' ? 'tiles' : 'wipe';
    this.refresh();
  }

  tile() {
    this.layout = 'tiles';
    this.refresh();
  }

  /** Hide which is which, in a new order; again: show it. */
  toggleBlind() {
    this.blind = !this.blind;
    if (this.blind) this.compareKeys(shuffled(this.compared));
    this.refresh();
  }

  /** Bring names, signs, sound, layout and differences up to date. */
  refresh() {
    if (!this.clips.length) return void this.app.pop();
    this.tiles.dataset.layout = this.layout;
    this.tiles.dataset.count = this.compared.length;
    this.clips.forEach((clip, index) => this.#refreshTile(clip, index));
    setText(this.toggles.play, this.transport.playing ? '❚❚' : '▶');
    setAttr(this.toggles.sound, 'aria-pressed', String(!this.silent));
    for (const [name, pressed] of [
      ['flip', this.layout === 'flip'],
      ['wipe', this.layout === 'wipe'],
      ['blind', this.blind],
    ]) {
      setAttr(this.toggles[name], 'aria-pressed', String(pressed));
    }
    this.#showDifferences();
    this.#at(this.clock.frame);
  }

  /** What a tile is called. @param {any} clip @param {number} index */
  label(clip, index) {
    return this.blind ? 'ABCD'[index] : clip.name;
  }

  close() {
    for (const off of this.off) off();
    this.sized.disconnect();
    this.transport.close();
    this.timeline.close();
    this.clock.drive([]);
    for (const film of this.#films.values()) film.close();
  }

  // --- inside ---------------------------------------------------------------------------------------------------

  #build() {
    const { app } = this;
    const control = (key, sign) =>
      entryButton(
        app,
        entries.find((each) => each.keys.includes(key)),
        sign,
      );
    this.at = el('output', { class: 'frame' });
    this.handle = el('div', { class: 'wipe-handle', role: 'presentation' });
    this.tiles = el('div', { class: 'tiles', on: { pointerdown: (event) => this.#dragWipe(event) } }, this.handle);
    this.tiles.style.setProperty('--wipe', '50%');
    this.toggles = {
      play: control('Space', '▶'),
      sound: control('m', '♪'),
      flip: control('f', 'Flip'),
      wipe: control('v', 'Wipe'),
      blind: control('b', 'Blind'),
    };
    const { play, sound, flip, wipe, blind } = this.toggles;
    this.bar = viewBar(app, 'Compare', this.at);
    this.differences = el('table', { class: 'differences' });
    this.element = el(
      'section',
      { class: 'view compare', 'aria-label': 'Compare', tabindex: '-1' },
      this.bar,
      this.tiles,
      this.timeline.element,
      el(
        'div',
        { class: 'transport' },
        control(',', '−1'),
        play,
        control('.', '+1'),
        sound,
        control('z', 'Zoom'),
        control('q', 'Tiles'),
        flip,
        wipe,
        blind,
        decideButtons(app, 'compare'),
      ),
      this.differences,
    );
  }

  /** A choice may have moved the focus, and a tile may be meant: the tile in front is the one that counts. */
  #follow() {
    const index = this.compared.indexOf(this.app.focus);
    if (index >= 0 && index !== this.front) this.toFront(index);
  }

  /** As many columns as make the films largest. */
  #layOut() {
    const { clientWidth: width, clientHeight: height } = this.tiles;
    this.tiles.style.setProperty('--columns', String(bestColumns(this.clips.map(aspect), width, height)));
  }

  #mute() {
    this.silent = !this.silent;
    this.refresh();
  }

  #tile(film, index) {
    const stage = el('div', { class: 'stage' }, film.video);
    this.zoom.add(stage, () => film.video);
    return el(
      'figure',
      { class: 'tile', on: { pointerdown: () => this.front !== index && this.toFront(index) } },
      el(
        'figcaption',
        {},
        el('span', { class: 'tile-name' }),
        el('span', { class: 'verdict' }),
        el('span', { class: 'sound', 'aria-hidden': 'true' }),
      ),
      stage,
    );
  }

  #refreshTile(clip, index) {
    const tile = this.tiles.children[index];
    tile.dataset.pick = clip.choice.pick;
    setAttr(tile, 'data-front', index === this.front);
    setText(tile.querySelector('.tile-name'), this.label(clip, index));
    setText(tile.querySelector('.verdict'), verdict(clip));
    setText(tile.querySelector('.sound'), index === this.front && !this.silent ? '♪' : '');
    tile.querySelector('video').muted = index !== this.front || this.silent;
  }

  async #drive(films) {
    this.clock.drive(films);
    await this.clock.settled();
    if (films !== this.clock.films) return;
    this.clock.drive(films); // lengths are known now
    this.timeline.show(this.clock);
    this.zoom.apply();
    this.transport.begin();
  }

  #showDifferences() {
    const rows = differing(this.clips, { blind: this.blind });
    const pieces = promptPieces(this.clips);
    const cells = ({ name, values }) =>
      values.map((value, index) =>
        name === 'prompt'
          ? el('td', {}, ...pieces[index].map(([text, differs]) => (differs ? el('mark', { text }) : text)))
          : el('td', { text: value }),
      );
    const head = el(
      'tr',
      {},
      el('td'),
      ...this.clips.map((clip, index) => el('th', { scope: 'col', text: this.label(clip, index) })),
    );
    const same = el('caption', { text: rows.length ? 'What differs' : 'Nothing differs but the film' });
    const text = JSON.stringify([rows, this.compared, this.blind]);
    if (this.differences.dataset.shown === text) return;
    this.differences.dataset.shown = text;
    this.differences.replaceChildren(
      same,
      ...(rows.length ? [head] : []),
      ...rows.map((row) => el('tr', {}, el('th', { scope: 'row', text: row.label }), ...cells(row))),
    );
  }

  #dragWipe(event) {
    if (this.layout !== 'wipe' || event.button !== 0) return;
    const box = this.tiles.getBoundingClientRect();
    const move = ({ clientX }) =>
      this.tiles.style.setProperty(
        '--wipe',
        `${Math.min(100, Math.max(0, ((clientX - box.left) / box.width) * 100))}%`,
      );
    const end = new AbortController();
    this.tiles.setPointerCapture(event.pointerId);
    this.tiles.addEventListener('pointermove', move, { signal: end.signal });
    for (const name of ['pointerup', 'pointercancel'])
      this.tiles.addEventListener(name, () => end.abort(), { signal: end.signal });
    move(event);
  }

  #at(frame) {
    setText(this.at, `${timecode(frame, this.clock.fps)} · frame ${frame} of ${this.clock.count}`);
    this.timeline.at(frame);
  }
}

/** How many columns show films of these aspects largest. @param {number[]} aspects width over height */
export function bestColumns(aspects, width, height) {
  const area = (columns) => {
    const rows = Math.ceil(aspects.length / columns);
    const [wide, tall] = [(width - GAP) / columns - GAP, (height - GAP) / rows - GAP - NAME];
    return Math.min(...aspects.map((aspect) => Math.min(wide, tall * aspect) ** 2 / aspect));
  };
  return aspects
    .map((_, index) => index + 1)
    .reduce((best, columns) => (area(columns) > area(best) ? columns : best), 1);
}

/** Of some clips those that can be compared; says why there are too few. @returns {string[]} */
export function comparable(app, keys) {
  const found = keys.filter((key) => app.store.get(key)?.file);
  if (found.length < 2)
    app.say('Compare needs two clips with a film: select them, or use Shift-C on a prompt with more takes');
  return found.length < 2 ? [] : found;
}

/** Open compare on two to four clips. @param {any} app @param {string[]} keys */
export function openCompare(app, keys) {
  const found = comparable(app, keys);
  if (!found.length) return;
  if (found.length > MOST) app.say(`The first ${MOST} of ${found.length} are compared`);
  const compare = new Compare(app, found.slice(0, MOST));
  app.push({ name: 'compare', ...compare.mode() });
}

const here = (run) => (app) => run(app.mode.view);
const MODES = ['compare'];
const BOTH = ['compare', 'tournament'];

/** @type {import('./keys.js').Entry[]} */
export const entries = [
  {
    keys: ['c'],
    does: 'Compare the selection',
    group: 'View',
    icon: '◫',
    modes: ['grid', 'matrix'],
    run: (app) => openCompare(app, [...app.selection]),
  },
  {
    keys: ['shift+c'],
    does: 'Compare the takes of this prompt',
    group: 'View',
    modes: ['grid', 'matrix', 'loupe'],
    run: (app) =>
      openCompare(
        app,
        app.store.siblings(app.focus).map(({ key }) => key),
      ),
  },
  {
    keys: ['ArrowLeft'],
    does: 'Tile to the left',
    group: 'Move',
    modes: MODES,
    run: here((it) => it.toFront(it.front - 1)),
  },
  {
    keys: ['ArrowRight'],
    does: 'Tile to the right',
    group: 'Move',
    modes: MODES,
    run: here((it) => it.toFront(it.front + 1)),
  },
  ...transportEntries(BOTH),
  { keys: ['z'], does: 'Fit or 100 %, in all tiles', group: 'View', modes: BOTH, run: here((it) => it.zoom.toggle()) },
  {
    keys: ['f'],
    does: 'Flip: one place, the next film each time',
    group: 'View',
    modes: BOTH,
    run: here((it) => it.flip()),
  },
  { keys: ['v'], does: 'Wipe between two: drag the line', group: 'View', modes: BOTH, run: here((it) => it.wipe()) },
  { keys: ['q'], does: 'Next to each other', group: 'View', modes: BOTH, run: here((it) => it.tile()) },
  { keys: ['b'], does: 'Blind: hide which is which', group: 'View', modes: BOTH, run: here((it) => it.toggleBlind()) },
];
