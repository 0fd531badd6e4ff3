/** Mouse and touch on the grid: a click goes to a card, Shift and Ctrl select, a double click opens the loupe. */
import { $ } from './dom.js';

/** How long a finger rests on a card to begin collecting, and how far it may move meanwhile. */
const PRESS_MS = 500;
const REST_PX = 10;

export class Mouse {
  #app;
  /** A finger that rests on a card. @type {{x: number, y: number, timer: number}|null} */
  #finger = null;
  #collected = false;
  /** Which clip had the focus before the press gave it to another. @type {string|null} */
  #from = null;

  constructor(app) {
    this.#app = app;
    const grid = $('grid');
    app.grid.playback.listen(grid);
    grid.addEventListener('click', (event) => this.#click(event));
    grid.addEventListener('dblclick', (event) => {
      if (event.target.closest('.card') && !app.selection.size) app.keys.of('grid').find((entry) => entry.keys.includes('Enter'))?.run(app, event);
    });
    // Tab into the grid lands on the focused card; a card that a screen reader moved to becomes the focused one.
    grid.addEventListener('focusin', (event) => {
      const key = event.target.closest('.card')?.dataset.key;
      if (key && key !== app.focus) app.setFocus(key, { scroll: false });
    });
    grid.addEventListener('pointerdown', (event) => this.#press(event));
    grid.addEventListener('pointermove', (event) => {
      if (this.#finger && Math.hypot(event.clientX - this.#finger.x, event.clientY - this.#finger.y) > REST_PX) this.#lift();
    });
    for (const end of ['pointerup', 'pointercancel']) grid.addEventListener(end, () => this.#lift());
    grid.addEventListener('contextmenu', (event) => this.#collected && event.preventDefault());
  }

  #click(event) {
    const { selection } = this.#app;
    const key = event.target.closest('.card')?.dataset.key;
    if (!key || this.#collected) return;
    if (event.shiftKey) selection.to(key, this.#from);
    else if (event.ctrlKey || event.metaKey) selection.also(key, this.#from);
    else if (selection.collecting) selection.collect(key);
    else selection.clear();
    this.#goTo(key);
  }

  #goTo(key) {
    this.#app.setFocus(key, { scroll: false });
    this.#app.grid.cards.get(key)?.node.focus({ preventScroll: true });
  }

  /** A finger that stays on a card collects it. */
  #press(event) {
    this.#collected = false;
    this.#from = this.#app.focus;
    const key = event.pointerType === 'touch' && event.isPrimary && event.target.closest('.card')?.dataset.key;
    if (!key) return;
    const timer = setTimeout(() => {
      this.#collected = true;
      this.#app.selection.collect(key);
      this.#goTo(key);
    }, PRESS_MS);
    this.#finger = { x: event.clientX, y: event.clientY, timer };
  }

  #lift() {
    clearTimeout(this.#finger?.timer);
    this.#finger = null;
  }
}
