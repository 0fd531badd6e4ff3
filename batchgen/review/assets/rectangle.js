/**
 * A rectangle drawn with the mouse selects the cards that it touches; with Ctrl or Shift it adds them to what is
 * selected. At the border the grid scrolls, and Esc takes the rectangle back.
 */
import { el } from './dom.js';

/** Pixels from which a press is a drag. */
const FAR = 6;
/** Pixels from the border within which the grid scrolls, and how many it scrolls a frame at most. */
const EDGE = 40;
const STEP = 24;

export class Rectangle {
  #app;
  #node;
  #box = el('div', { class: 'rectangle', hidden: true });
  /** @type {{x: number, y: number, id: number, kept: string[], before: string[], drawn: boolean}|null} x, y: of the page laid out */
  #drag = null;
  #at = { clientX: 0, clientY: 0 };
  #frame = 0;

  /** @param {any} app @param {HTMLElement} grid */
  constructor(app, grid) {
    this.#app = app;
    this.#node = grid;
    grid.firstElementChild.append(this.#box);
    grid.addEventListener('pointerdown', (event) => this.#press(event));
    grid.addEventListener('pointermove', (event) => this.#move(event));
    grid.addEventListener('pointerup', () => this.#end());
    grid.addEventListener('pointercancel', () => this.#cancel());
    // The click that ends a drag is none on a card.
    grid.addEventListener('click', (event) => this.#swallow(event), { capture: true });
    addEventListener('keydown', (event) => this.#drag?.drawn && event.key === 'Escape' && (event.preventDefault(), this.#cancel()), { capture: true });
  }

  #ended = false;

  #press(event) {
    this.#ended = false;
    if (event.pointerType !== 'mouse' || event.button || event.target.closest('button, a') || this.#onScrollbar(event)) return;
    const adds = event.ctrlKey || event.metaKey || event.shiftKey;
    const before = [...this.#app.selection];
    this.#drag = { ...this.#place(event), id: event.pointerId, kept: adds ? before : [], before, drawn: false };
  }

  #onScrollbar(event) {
    return event.clientX - this.#node.getBoundingClientRect().left >= this.#node.clientWidth;
  }

  /** Where the mouse is on the page that is laid out. */
  #place({ clientX, clientY }) {
    const { left, top } = this.#node.getBoundingClientRect();
    return { x: clientX - left + this.#node.scrollLeft, y: clientY - top + this.#node.scrollTop };
  }

  #move(event) {
    const drag = this.#drag;
    if (!drag) return;
    const { x, y } = this.#place(event);
    if (!drag.drawn && Math.max(Math.abs(x - drag.x), Math.abs(y - drag.y)) < FAR) return;
    if (!drag.drawn) this.#node.setPointerCapture(drag.id);
    drag.drawn = true;
    this.#at = event;
    this.#draw();
    this.#frame ||= requestAnimationFrame(() => this.#scroll());
  }

  #draw() {
    const { x, y } = this.#place(this.#at);
    const { x: fromX, y: fromY, kept } = this.#drag;
    const box = { left: Math.min(x, fromX), top: Math.min(y, fromY), right: Math.max(x, fromX), bottom: Math.max(y, fromY) };
    this.#box.hidden = false;
    Object.assign(this.#box.style, { left: `${box.left}px`, top: `${box.top}px`, width: `${box.right - box.left}px`, height: `${box.bottom - box.top}px` });
    this.#app.selection.set([...kept, ...this.#app.grid.keysIn(box)]);
  }

  /** Scroll while the mouse is held at the upper or lower border, and beyond. */
  #scroll() {
    this.#frame = 0;
    if (!this.#drag?.drawn) return;
    const { top, bottom } = this.#node.getBoundingClientRect();
    const { clientY } = this.#at;
    const by = clientY < top + EDGE ? clientY - top - EDGE : clientY > bottom - EDGE ? clientY - bottom + EDGE : 0;
    if (!by) return;
    const { scrollTop } = this.#node;
    this.#node.scrollTop += Math.max(-STEP, Math.min(STEP, by));
    if (this.#node.scrollTop === scrollTop) return;
    this.#draw();
    this.#frame = requestAnimationFrame(() => this.#scroll());
  }

  /** The rectangle is drawn: go to the first clip in it. */
  #end() {
    const drag = this.#drag;
    this.#drag = null;
    this.#box.hidden = true;
    if (!drag?.drawn) return;
    this.#ended = true;
    const [first] = this.#app.selection.shown();
    if (first && !this.#app.selection.has(this.#app.focus)) this.#app.setFocus(first, { scroll: false });
    this.#app.grid.cards.get(this.#app.focus)?.node.focus({ preventScroll: true });
  }

  #cancel() {
    const drag = this.#drag;
    this.#drag = null;
    this.#box.hidden = true;
    if (!drag?.drawn) return;
    this.#ended = true;
    this.#app.selection.set(drag.before);
  }

  #swallow(event) {
    if (!this.#ended) return;
    this.#ended = false;
    event.stopPropagation();
    event.preventDefault();
  }
}
