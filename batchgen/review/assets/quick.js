/** Pick and reject on the card itself: one pair of buttons, at the card under the mouse, else at the focused one. */
import { button, el } from './dom.js';
import { tooltip } from './keys.js';

export class Quick {
  #app;
  #node;
  #hovered = null;

  /** @param {any} app @param {HTMLElement} grid */
  constructor(app, grid) {
    this.#app = app;
    this.#node = el('div', { class: 'quick' }, this.#button('p'), this.#button('x'));
    // A press must not take the focus from the card, nor be one on the card.
    for (const event of ['mousedown', 'dblclick']) this.#node.addEventListener(event, (each) => (each.preventDefault(), each.stopPropagation()));
    grid.addEventListener('pointerover', (event) => event.pointerType === 'mouse' && this.#over(event.target.closest('.card')));
    grid.addEventListener('pointerleave', () => this.#over(null));
    app.onFocus(() => this.#place());
  }

  #button(key) {
    const entry = this.#app.keys.of('grid').find((each) => each.keys.includes(key));
    const run = (event) => {
      event.stopPropagation();
      const of = this.#node.closest('.card')?.dataset.key; // now: cards are used again
      if (!of) return;
      if (!this.#app.selection.has(of)) this.#app.selection.clear();
      this.#app.setFocus(of, { scroll: false });
      entry.run(this.#app);
    };
    return button(entry.icon, run, { title: tooltip(entry), 'aria-label': entry.does, tabindex: '-1', data: { key } });
  }

  #over(card) {
    if (card === this.#hovered) return;
    this.#hovered = card;
    this.#place();
  }

  #place() {
    const card = this.#hovered ?? this.#app.grid.cards.get(this.#app.focus)?.node;
    if (card && this.#node.parentNode !== card) card.append(this.#node);
  }
}
