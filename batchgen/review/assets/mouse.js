/** Mouse and touch on the grid: a click goes to a card, Shift and Ctrl select, a double click opens the loupe. */
import { $ } from './dom.js';

export class Mouse {
  constructor(app) {
    const grid = $('grid');
    app.grid.playback.listen(grid);
    grid.addEventListener('click', (event) => {
      const key = event.target.closest('.card')?.dataset.key;
      if (!key) return;
      if (event.shiftKey) app.selectTo(key);
      else if (event.ctrlKey || event.metaKey) app.selectAlso(key);
      else app.clearSelection();
      app.setFocus(key, { scroll: false });
      app.grid.cards.get(key)?.node.focus({ preventScroll: true });
    });
    grid.addEventListener('dblclick', (event) => {
      if (event.target.closest('.card')) app.keys.of('grid').find((entry) => entry.keys.includes('Enter'))?.run(app, event);
    });
    // Tab into the grid lands on the focused card; a card that a screen reader moved to becomes the focused one.
    grid.addEventListener('focusin', (event) => {
      const key = event.target.closest('.card')?.dataset.key;
      if (key && key !== app.focus) app.setFocus(key, { scroll: false });
    });
  }
}
