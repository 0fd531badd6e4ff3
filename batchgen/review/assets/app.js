/** The page: its parts, and what they share: focus, selection, filter, settings, the view that is open. */
import { Api } from './api.js';
import { Cart } from './cart.js';
import { Choices } from './choices.js';
import { entries } from './commands.js';
import { ask, say } from './dialogs.js';
import { $ } from './dom.js';
import { arrange, parseHash, toHash } from './filters.js';
import { Grid } from './grid.js';
import { Header } from './header.js';
import { Keys } from './keys.js';
import { Live } from './live.js';
import { openLoupe } from './loupe.js';
import { Mouse } from './mouse.js';
import { Panel } from './panel.js';
import { Player } from './player.js';
import { Quick } from './quick.js';
import { Rail } from './rail.js';
import { Rectangle } from './rectangle.js';
import { Selection } from './selection.js';
import { Store } from './store.js';
import { Toolbar } from './toolbar.js';
import { beginOnPhone } from './touch.js';
import { VIEWS } from './views.js';

const SETTINGS = 'batchgen.settings';
const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
const wide = matchMedia('(min-width: 1100px)');

class App {
  constructor() {
    this.api = new Api();
    this.store = new Store();
    this.choices = new Choices(this);
    this.player = new Player(this.api);
    this.cart = new Cart(this);
    this.focus = null;
    this.selection = new Selection(this);
    this.filter = parseHash(location.hash);
    this.arranged = { keys: [], groups: [], counts: new Map(), has: () => false };
    this.settings = { size: 190, letters: true, advance: true, autoplay: !still, ...stored(), rail: wide.matches, info: wide.matches };
    this.say = say;
    this.ask = ask;
  }

  /** Clips that are shown whatever the filter says: the undone, and what another tab changed under the reader's eyes. */
  #pins = new Set();
  #views = [{ name: 'grid', element: null, keys: [], close: () => {} }];
  #focusListeners = new Set();

  async begin() {
    this.keys = new Keys(this, [...entries, ...VIEWS.flatMap((view) => view.entries)]);
    this.grid = new Grid(this, $('grid'));
    this.header = new Header(this);
    this.toolbar = new Toolbar(this);
    this.rail = new Rail(this);
    this.panel = new Panel(this);
    this.mouse = new Mouse(this);
    this.rectangle = new Rectangle(this, $('grid'));
    this.quick = new Quick(this, $('grid'));
    this.live = new Live(this);
    this.configure({});
    this.store.on((change) => this.#changed(change));
    this.cart.on(() => this.header.refresh());
    addEventListener('hashchange', () => this.setFilter(parseHash(location.hash)));
    await this.live.begin();
    beginOnPhone(this, openLoupe);
  }

  // --- what is shown -----------------------------------------------------------------------------------------

  /** Keys in the order in which they are shown. */
  list() {
    return this.arranged.keys;
  }

  /** Show other clips: some fields of the filter. */
  setFilter(fields) {
    this.filter = { ...this.filter, ...fields };
    this.#pins.clear();
    history.replaceState(null, '', toHash(this.filter, this.header.several ? this.api.batch : ''));
    this.selection.clear();
    this.#arrange();
    this.#keepFocus([]);
    if (this.focus) this.grid.scrollTo(this.focus);
  }

  /** Show clips only if the filter does. */
  unpin(keys) {
    for (const key of keys) this.#pins.delete(key);
  }

  /** Bring clips into view that the filter may hide, and go to the first. */
  reveal(keys) {
    const hidden = keys.filter((key) => !this.arranged.has(key));
    for (const key of hidden) this.#pins.add(key);
    if (hidden.length) this.#arrange();
    this.setFocus(keys[0], { scroll: true });
  }

  #changed({ keys, whole, own }) {
    const before = this.list();
    const here = this.arranged.has(this.focus);
    this.#arrange(keys);
    // What another tab did must not take the clip away that the reader is at.
    if (!own && here && !this.arranged.has(this.focus) && this.store.get(this.focus)) {
      this.#pins.add(this.focus);
      this.#arrange(keys);
    }
    this.#keepFocus(before);
    if (whole && !this.focus) this.setFocus(this.#firstUndecided(), { scroll: true });
    this.header.refresh();
    this.panel.refresh(keys);
  }

  #arrange(keys = new Set()) {
    const found = arrange(this.store.clips.values(), this.filter, this.#pins);
    const same = found.keys.length === this.list().length && found.keys.every((key, index) => key === this.list()[index]);
    const shown = new Set(found.keys);
    this.arranged = { ...found, has: (key) => shown.has(key) };
    if (!same || !keys.size) this.grid.arrange();
    this.grid.refresh(keys);
    this.toolbar.showEmpty();
    this.toolbar.refresh();
    this.rail.refresh();
  }

  #firstUndecided() {
    const open = (key) => this.store.get(key).state === 'done' && !this.store.get(key).choice.pick;
    return this.list().find(open) ?? this.list()[0] ?? null;
  }

  // --- focus and selection -----------------------------------------------------------------------------------

  /** Go to a clip. @param {string|null} key */
  setFocus(key, { scroll = true } = {}) {
    const before = this.focus;
    this.focus = key;
    if (scroll && key) this.grid.scrollTo(key);
    this.grid.focus(key, before);
    this.panel.show();
    for (const fn of this.#focusListeners) fn(key);
  }

  /** Be called with the key of each clip that gets the focus. @returns {() => void} stops it */
  onFocus(fn) {
    this.#focusListeners.add(fn);
    return () => this.#focusListeners.delete(fn);
  }

  /** When the focused clip is shown no more, go to the next one that is. */
  #keepFocus(before) {
    if (this.focus && this.arranged.has(this.focus)) return;
    const at = before.indexOf(this.focus);
    const next = at < 0 ? undefined : [...before.slice(at), ...before.slice(0, at).reverse()].find((key) => this.arranged.has(key));
    if (this.focus || this.list().length) this.setFocus(next ?? this.#firstUndecided(), { scroll: true });
  }

  /** What a choice will be about: what the open view says, else the selected clips, else the focused one. */
  targets() {
    if (this.mode.targets) return this.mode.targets();
    const selected = this.selection.shown();
    return selected.length ? selected : this.focus ? [this.focus] : [];
  }

  /** Give what goes on to the next clip after a choice; null when it should stay. */
  afterChoice(keys) {
    if (!(this.settings.advance || this.keys.capsLock) || this.mode.stays || keys.length !== 1 || keys[0] !== this.focus) return null;
    const list = this.list();
    const next = list[list.indexOf(this.focus) + 1];
    return () => next && this.arranged.has(next) && this.setFocus(next, { scroll: true });
  }

  /** Show which clips are selected now. @param {Set<string>} keys that are selected since, or not any more */
  selectionChanged(keys) {
    this.grid.refresh(keys);
    this.toolbar.refresh();
    this.panel.show();
  }

  // --- settings, views, trouble ------------------------------------------------------------------------------

  /** Change settings; all but what is open are kept in this browser. */
  configure(fields) {
    Object.assign(this.settings, fields);
    const { rail, info, ...kept } = this.settings;
    localStorage.setItem(SETTINGS, JSON.stringify(kept));
    document.body.classList.toggle('no-rail', !rail);
    document.body.classList.toggle('no-info', !info);
    if ('size' in fields) this.grid.arrange();
    this.grid.playback.settle();
    this.toolbar.refresh();
    this.panel.show();
  }

  toggle(name, words = '') {
    this.configure({ [name]: !this.settings[name] });
    if (words) this.say(`${words} ${this.settings[name] ? 'on' : 'off'}`);
  }

  /** The view that is open, and whose keys count. */
  get mode() {
    return this.#views.at(-1);
  }

  /**
   * Open a view over the page.
   * @param {{name: string, element: HTMLElement, view?: any, keys?: any[], close?: () => void, cover?: () => void,
   *   targets?: () => string[], stays?: boolean}} mode cover: is called when another view comes over it; targets: what
   *   its decisions are about; stays: a decision does not go on to the next clip
   */
  push(mode) {
    this.mode.cover?.();
    this.#views.push({ keys: [], close: () => {}, ...mode });
    $('views').append(mode.element);
    $('page').inert = true;
    this.grid.covered();
    this.panel.show();
    if (!mode.element.contains(document.activeElement)) {
      mode.element.tabIndex = -1;
      mode.element.focus({ preventScroll: true });
    }
  }

  /** Close the view that is open; the focus returns to the card. */
  pop() {
    if (this.#views.length < 2) return;
    const view = this.#views.pop();
    view.close();
    view.element.remove();
    $('page').inert = this.#views.length > 1;
    this.grid.covered();
    if (this.#views.length > 1) this.mode.element.focus({ preventScroll: true });
    else this.setFocus(this.focus, { scroll: true });
  }

  back() {
    if (this.#views.length > 1) this.pop();
    else this.selection.clear();
  }

  /** Clips that were seen are not new any more. */
  seen(keys) {
    this.live.seen(keys);
  }

  offline(error) {
    this.live.trouble(error);
  }

  /** Wait for an answer; say what was refused. @returns {Promise<any>} null when it was */
  async attempt(answer) {
    try {
      return await answer;
    } catch (error) {
      this.say(error.status ? error.message : 'The server does not answer. Try again when it is back.');
      return null;
    }
  }
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(SETTINGS) ?? '{}');
  } catch {
    return {};
  }
}

export const app = new App();
app.begin();
