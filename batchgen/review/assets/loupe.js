/**
 * The loupe: one clip as large as it goes, with sound, by frames. Left and right go through the list of the grid, and
 * every key that decides works here too.
 */

import { el, setAttr, setText } from './dom.js';
import { timecode } from './frames.js';
import { Marks } from './marks.js';
import { FilmPair } from './pair.js';
import { decideButtons, entryButton, refreshThumb, thumb, verdict, viewBar } from './parts.js';
import { swipes } from './touch.js';
import { Timeline } from './timeline.js';
import { Transport, transportEntries } from './transport.js';
import { STATES } from './words.js';
import { Zoom } from './zoom.js';

const MODES = ['loupe'];

class Loupe {
  /** The next clip begins at the frame where this one is. */
  sync = false;

  constructor(app, key) {
    this.app = app;
    this.films = new FilmPair(app, { loop: true, onFrame: (frame) => this.#at(frame) });
    this.transport = new Transport(this.films, () => this.#showState());
    this.timeline = new Timeline((frame) => this.transport.seek(frame));
    this.marks = new Marks(app, this);
    this.zoom = new Zoom(() => this.#showState());
    this.#build();
    this.off = [
      app.store.on(({ whole, keys }) => this.#changed(whole || keys.has(this.key))),
      app.onFocus(() => this.#follow()),
    ];
    this.show(key);
  }

  // --- what it shows --------------------------------------------------------------------------------------------

  /** Show a clip, from its beginning, or from the frame where the last one is. */
  show(key) {
    const clip = this.app.store.get(key);
    if (!clip) return;
    const from = this.sync && this.key && this.key !== key ? this.films.frame : 0;
    const went = this.app.list().indexOf(key) - this.app.list().indexOf(this.key ?? key);
    this.key = key;
    this.version = clip.v;
    this.transport.close();
    const film = this.films.show(clip);
    this.stage.replaceChildren(film ? film.video : nothing(clip));
    this.timeline.show(film);
    if (film) {
      film.ready.then(() => film === this.films.now && this.#showLength(film));
      if (from) film.seek(from);
      this.transport.begin();
      this.zoom.apply();
    }
    this.marks.show();
    this.#showStrip();
    this.#showState();
    this.#prepare(went < 0 ? -1 : 1);
  }

  /** Go on in the list. @param {number} by */
  go(by) {
    const keys = this.app.list();
    const to = keys[keys.indexOf(this.key) + by];
    if (to) this.app.setFocus(to);
    else this.app.say(by > 0 ? 'This is the last clip' : 'This is the first clip');
  }

  /** Go to the first clip of the next or the previous prompt. @param {number} by */
  goPrompt(by) {
    const keys = this.app.list();
    const prompt = (index) => this.app.store.get(keys[index])?.group;
    let at = keys.indexOf(this.key);
    const here = prompt(at);
    while (keys[at] && prompt(at) === here) at += by;
    while (by < 0 && keys[at - 1] && prompt(at - 1) === prompt(at)) at -= 1;
    if (keys[at]) this.app.setFocus(keys[at]);
  }

  toggleSync() {
    this.sync = !this.sync;
    this.app.say(this.sync ? 'The next take starts at the same frame' : 'The next take starts at its beginning');
    this.#showState();
  }

  close() {
    for (const off of this.off) off();
    this.transport.close();
    this.timeline.close();
    this.films.close();
  }

  // --- inside ---------------------------------------------------------------------------------------------------

  #build() {
    const { app } = this;
    const entry = (key) => entries.find((each) => each.keys.includes(key));
    const control = (key, sign) => entryButton(app, entry(key), sign);
    this.where = el('span', { class: 'where' });
    this.sign = el('span', { class: 'verdict' });
    this.at = el('output', { class: 'frame' });
    this.stage = el('div', { class: 'stage' });
    this.zoom.add(this.stage, () => this.films.now?.video ?? null);
    swipes(app, this, this.stage);
    this.toggles = {
      play: control('Space', '▶'),
      speed: control('s', '1×'),
      sound: control('m', '♪'),
      zoom: control('z', 'Fit'),
      sync: control('y', 'Same frame'),
    };
    const { play, speed, sound, zoom, sync } = this.toggles;
    this.bar = viewBar(app, '', this.sign, this.where, this.at);
    this.title = this.bar.querySelector('h2');
    this.strip = el('div', { class: 'filmstrip', role: 'group', 'aria-label': 'Takes of this prompt' });
    this.element = el(
      'section',
      { class: 'view loupe', 'aria-label': 'Loupe', tabindex: '-1' },
      this.bar,
      el('div', { class: 'stage-row' }, control('ArrowLeft', '‹'), this.stage, control('ArrowRight', '›')),
      this.timeline.element,
      el(
        'div',
        { class: 'transport' },
        control('Home', '⇤'),
        control(',', '−1'),
        play,
        control('.', '+1'),
        control('End', '⇥'),
        speed,
        sound,
        zoom,
        sync,
        control('shift+n', 'Note here'),
        decideButtons(app, 'loupe'),
      ),
      this.marks.element,
      this.strip,
    );
  }

  /** Its length is known for certain only when it is loaded. */
  #showLength(film) {
    this.timeline.show(film);
    this.marks.show();
    this.#showState();
  }

  #follow() {
    if (this.app.focus && this.app.focus !== this.key) this.show(this.app.focus);
  }

  #changed(ours) {
    const clip = this.app.store.get(this.key);
    if (!clip) return void this.app.pop();
    if (ours && clip.v !== this.version) return void this.show(this.key);
    if (ours) this.marks.show();
    this.#showStrip();
    this.#showState();
  }

  /** The takes of the prompt; rebuilt only when another prompt comes, or another take. */
  #showStrip() {
    const takes = this.app.store.siblings(this.key);
    const keys = takes.map(({ key }) => key).join();
    if (this.strip.dataset.keys !== keys) {
      this.strip.dataset.keys = keys;
      this.strip.replaceChildren(...takes.map((clip) => thumb(this.app, clip, () => this.app.setFocus(clip.key))));
    }
    takes.forEach((clip, index) => {
      refreshThumb(this.strip.children[index], clip);
      setAttr(this.strip.children[index], 'aria-current', clip.key === this.key ? 'true' : null);
    });
    this.strip.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  #showState() {
    const clip = this.app.store.get(this.key);
    const keys = this.app.list();
    setText(this.title, clip.name);
    setText(this.where, `${keys.indexOf(this.key) + 1} of ${keys.length}`);
    setText(this.sign, verdict(clip));
    this.element.dataset.pick = clip.choice.pick;
    const { play, speed, sound, zoom, sync } = this.toggles;
    setText(play, this.transport.playing ? '❚❚' : '▶');
    setText(speed, `${this.transport.rate}×`.replace('-', '−').replace('0.5', '½').replace('0.25', '¼'));
    setText(zoom, this.zoom.fitted ? 'Fit' : `${Math.round(this.#percent())} %`);
    setAttr(sound, 'aria-pressed', String(this.films.sound));
    setAttr(sync, 'aria-pressed', String(this.sync));
    this.#at(this.films.frame);
  }

  #percent() {
    const video = this.films.now?.video;
    const fitted = video
      ? Math.min(this.stage.clientWidth, this.stage.clientHeight * (video.videoWidth / video.videoHeight))
      : 1;
    return video?.videoWidth ? (this.zoom.scale * fitted * devicePixelRatio * 100) / video.videoWidth : 100;
  }

  #at(frame) {
    setText(
      this.at,
      this.films.now ? `${timecode(frame, this.films.fps)} · frame ${frame} of ${this.films.count}` : '',
    );
    this.timeline.at(frame);
  }

  /** Load what is likely next: one film, and the pictures of both neighbours. */
  #prepare(direction) {
    const keys = this.app.list();
    const here = keys.indexOf(this.key);
    const near = (by) => this.app.store.get(keys[here + by]);
    this.films.prepare(near(direction) ?? near(-direction));
    this.neighbours = [near(-1), near(1)]
      .filter((clip) => clip?.check?.poster)
      .map((clip) => {
        const image = new Image();
        image.src = this.app.api.posterUrl(clip);
        return image;
      });
  }
}

/** What stands in the place of a film that there is not. */
function nothing(clip) {
  return el(
    'p',
    { class: 'no-film' },
    el('strong', { text: STATES[clip.state] ?? clip.state }),
    el('span', { text: clip.reason ?? '' }),
  );
}

/** Open the loupe on a clip. @param {any} app @param {string[]} keys the first is shown */
export function openLoupe(app, [key]) {
  if (!key) return;
  app.setFocus(key);
  const loupe = new Loupe(app, key);
  app.push({
    name: 'loupe',
    element: loupe.element,
    view: loupe,
    targets: () => [loupe.key],
    close: () => loupe.close(),
    cover: () => loupe.transport.pause(),
  });
}

const here = (run) => (app) => run(app.mode.view);

/** @type {import('./keys.js').Entry[]} */
export const entries = [
  {
    keys: ['Enter'],
    does: 'Open the clip in the loupe',
    group: 'View',
    icon: '⤢',
    modes: ['grid', 'matrix', 'compare'],
    run: (app) => openLoupe(app, [app.focus]),
  },
  { keys: ['ArrowLeft'], does: 'Previous clip', group: 'Move', modes: MODES, run: here((it) => it.go(-1)) },
  { keys: ['ArrowRight'], does: 'Next clip', group: 'Move', modes: MODES, run: here((it) => it.go(1)) },
  { keys: ['ArrowUp'], does: 'Previous prompt', group: 'Move', modes: MODES, run: here((it) => it.goPrompt(-1)) },
  { keys: ['ArrowDown'], does: 'Next prompt', group: 'Move', modes: MODES, run: here((it) => it.goPrompt(1)) },
  ...transportEntries(MODES),
  { keys: ['z'], does: 'Fit or 100 %', group: 'View', modes: MODES, run: here((it) => it.zoom.toggle()) },
  {
    keys: ['y'],
    does: 'Start the next take at the same frame',
    group: 'Play',
    modes: MODES,
    run: here((it) => it.toggleSync()),
  },
  { keys: ['shift+n'], does: 'Note at this frame', group: 'Decide', modes: MODES, run: here((it) => it.marks.write()) },
];
