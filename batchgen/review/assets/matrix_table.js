/**
 * The table of the matrix: thousands of cells, and elements only for those in view. Heads stay at the border while the
 * cells pass below them. The cell in focus keeps its element wherever it is.
 */

import { button, el, framewise, setAttr, setText } from './dom.js';
import { missing } from './axes.js';
import { loadSeen, still, verdict, verdictWords } from './parts.js';
import { STATES, plural } from './words.js';

/** Pixels: a cell's least and largest width, the gap, and what is kept ready beyond what is seen. */
const NARROWEST = 150;
const WIDEST = 480;
const GAP = 10;
const OVERSCAN = 40;
/** So many columns are seen at once at most, so that a large screen needs no more elements than a small one. */
const MOST_SEEN = 7;

export class MatrixTable {
  #app;
  #on;
  #corner;
  #top;
  #grid;
  #pictures;
  #resized;
  /** @type {import('./axes.js').Cell[][]} */
  #cells = [];
  #rows = { name: '', values: [] };
  #columns = { name: '', values: [] };
  /** @type {Map<number, {node: HTMLElement, head: HTMLElement, cells: Map<number, HTMLElement>}>} by row */
  #lines = new Map();
  /** @type {Map<number, HTMLElement>} by column */
  #heads = new Map();
  #size = { wide: 0, tall: 0, head: 0, heads: 0 };
  #at = [0, 0];
  /** Cells that play now: they stay. @type {Set<string>} */
  #kept = new Set();
  #playing = '';

  /**
   * @param {any} app
   * @param {{go: (row: number, column: number) => void, play: (name: string, cells: [number, number][]) => void}} on
   *   go: a cell is pressed; play: a line is to play
   */
  constructor(app, on) {
    this.#app = app;
    this.#on = on;
    this.#corner = el('div', { class: 'corner', role: 'columnheader', 'aria-colindex': '1' });
    this.#top = el('div', { class: 'axis-line heads', role: 'row', 'aria-rowindex': '1' }, this.#corner);
    this.#grid = el('div', { class: 'matrix-grid', role: 'grid', 'aria-label': 'Matrix' }, this.#top);
    this.#grid.addEventListener('click', (event) => {
      const node = event.target.closest('.cell');
      if (node) on.go(Number(node.dataset.row), Number(node.dataset.column));
    });
    this.#grid.addEventListener('dblclick', (event) => event.target.closest('.cell') && this.#open(event));
    this.element = el('div', { class: 'matrix-scroll' }, this.#grid);
    this.#pictures = loadSeen(app, this.element);
    this.draw = framewise(() => this.#draw());
    this.element.addEventListener('scroll', () => this.draw(), { passive: true });
    this.#resized = new ResizeObserver(() => this.#layOut());
    this.#resized.observe(this.element);
  }

  #open(event) {
    this.#app.keys.of('matrix').find((entry) => entry.keys.includes('Enter'))?.run(this.#app, event);
  }

  /** Show a table. @param {import('./axes.js').Cell[][]} cells @param {{name: string, values: string[]}} rows @param {{name: string, values: string[]}} columns */
  show(cells, rows, columns) {
    const same = this.#rows === rows && this.#columns === columns;
    [this.#cells, this.#rows, this.#columns] = [cells, rows, columns];
    if (!same) this.#clear();
    setAttr(this.#grid, 'aria-rowcount', rows.values.length + 1);
    setAttr(this.#grid, 'aria-colcount', columns.values.length + 1);
    setText(this.#corner, `${rows.name} ↓ ${columns.name} →`);
    this.#layOut();
  }

  /** Give a cell the focus, and bring it into view. */
  focus(row, column) {
    this.#at = [row, column];
    if (!this.#size.wide) this.#layOut(); // it has only now come onto the page
    const { wide, tall, head, heads } = this.#size;
    const [left, top] = [head + column * (wide + GAP), heads + row * (tall + GAP)];
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.element;
    if (left < scrollLeft + head) this.element.scrollLeft = left - head;
    else if (left + wide + GAP > scrollLeft + clientWidth) this.element.scrollLeft = left + wide + GAP - clientWidth;
    if (top < scrollTop + heads) this.element.scrollTop = top - heads;
    else if (top + tall + GAP > scrollTop + clientHeight) this.element.scrollTop = top + tall + GAP - clientHeight;
    this.#draw();
    this.node(row, column)?.focus({ preventScroll: true });
  }

  /** The element of a cell, while it has one. */
  node(row, column) {
    return this.#lines.get(row)?.cells.get(column);
  }

  /** Show which line plays; its cells keep their elements. @param {string} name @param {[number, number][]} cells */
  playing(name, cells) {
    this.#playing = name;
    this.#kept = new Set(cells.map(String));
    for (const head of [...this.#heads.values(), ...[...this.#lines.values()].map((line) => line.head)]) this.#mark(head);
    this.draw();
  }

  close() {
    this.#resized.disconnect();
    this.#pictures.disconnect();
  }

  // --- drawing --------------------------------------------------------------------------------------------------

  #layOut() {
    const { clientWidth } = this.element;
    if (!clientWidth || !this.#cells.length) return;
    const longest = Math.max(...this.#rows.values.map((value) => value.length), 6);
    const head = Math.min(clientWidth < 700 ? 96 : 180, longest * 8 + 56);
    const columns = this.#columns.values.length;
    const room = (clientWidth - head) / Math.min(columns, MOST_SEEN) - GAP;
    const wide = Math.floor(Math.max(Math.min(NARROWEST, clientWidth - head - GAP), Math.min(WIDEST, room)));
    this.#size = { wide, tall: Math.round((wide * 9) / 16), head, heads: this.#top.offsetHeight + 6 };
    const { style } = this.#grid;
    style.setProperty('--head', `${head}px`);
    style.setProperty('--wide', `${wide}px`);
    style.setProperty('--tall', `${this.#size.tall}px`);
    style.width = `${head + columns * (wide + GAP)}px`;
    style.height = `${this.#size.heads + this.#rows.values.length * (this.#size.tall + GAP)}px`;
    this.#draw();
  }

  /** Which of `count` lie in view, of so many pixels each. @returns {number[]} */
  #seen(scrolled, length, each, count) {
    const first = Math.max(0, Math.floor((scrolled - OVERSCAN) / (each + GAP)));
    const last = Math.min(count, Math.ceil((scrolled + length + OVERSCAN) / (each + GAP)));
    return Array.from({ length: Math.max(0, last - first) }, (_, index) => first + index);
  }

  #draw() {
    const { wide, tall, head, heads } = this.#size;
    if (!wide || !this.#cells.length) return;
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.element;
    const rows = this.#seen(scrollTop, clientHeight - heads, tall, this.#rows.values.length);
    const columns = this.#seen(scrollLeft, clientWidth - head, wide, this.#columns.values.length);
    const wanted = new Map(rows.map((row) => [row, new Set(columns)]));
    for (const [row, column] of [this.#at, ...[...this.#kept].map((each) => each.split(',').map(Number))]) {
      if (this.#cells[row]?.[column]) wanted.set(row, new Set([...(wanted.get(row) ?? []), column]));
    }
    this.#drop(wanted, new Set(columns));
    this.#inOrder(this.#top, columns.map((column) => this.#head(column)), 1);
    const sorted = [...wanted.keys()].sort((a, b) => a - b);
    this.#inOrder(this.#grid, sorted.map((row) => this.#line(row, [...wanted.get(row)].sort((a, b) => a - b))), 1);
  }

  /** Put elements in their order; one that is in its place is not moved: that would take its focus and stop its film. */
  #inOrder(parent, nodes, from) {
    nodes.forEach((node, index) => {
      const there = parent.children[from + index] ?? null;
      if (there !== node) parent.insertBefore(node, there);
    });
  }

  #drop(wanted, columns) {
    for (const [column, node] of this.#heads) {
      if (columns.has(column)) continue;
      node.remove();
      this.#heads.delete(column);
    }
    for (const [row, line] of this.#lines) {
      for (const [column, node] of line.cells) {
        if (wanted.get(row)?.has(column)) continue;
        this.#release(node);
        node.remove();
        line.cells.delete(column);
      }
      if (wanted.has(row)) continue;
      line.node.remove();
      this.#lines.delete(row);
    }
  }

  #clear() {
    this.#drop(new Map(), new Set());
    this.element.scrollTo(0, 0);
  }

  /** Load no picture for a cell that is gone. */
  #release(node) {
    const img = node.querySelector('img');
    if (!img) return;
    this.#pictures.unobserve(img);
    this.#app.grid.posters.cancel(img);
  }

  #head(column) {
    let node = this.#heads.get(column);
    if (!node) {
      const cells = this.#rows.values.map((_, row) => /** @type {[number, number]} */ ([row, column]));
      node = this.#newHead('columnheader', this.#columns.values[column], column + 2, cells);
      this.#heads.set(column, node);
    }
    node.style.left = `${this.#size.head + column * (this.#size.wide + GAP)}px`;
    return node;
  }

  #line(row, columns) {
    let line = this.#lines.get(row);
    if (!line) {
      const cells = this.#columns.values.map((_, column) => /** @type {[number, number]} */ ([row, column]));
      const head = this.#newHead('rowheader', this.#rows.values[row], 1, cells);
      line = { head, node: el('div', { class: 'axis-line', role: 'row', 'aria-rowindex': row + 2 }, head), cells: new Map() };
      this.#lines.set(row, line);
    }
    line.node.style.top = `${this.#size.heads + row * (this.#size.tall + GAP)}px`;
    this.#inOrder(line.node, columns.map((column) => this.#cell(line, row, column)), 1);
    return line.node;
  }

  #newHead(role, value, index, cells) {
    const name = `${role} ${value}`;
    const play = button('▶', () => this.#on.play(name, cells), { title: 'Play this line in sync', 'aria-label': `Play ${value} in sync` });
    const words = el('span', { text: value || '(none)', title: value });
    const node = el('div', { role, class: 'axis-head', 'aria-colindex': index, data: { line: name } }, words, play);
    this.#mark(node);
    return node;
  }

  #mark(head) {
    const on = head.dataset.line === this.#playing;
    setAttr(head.lastChild, 'aria-pressed', String(on));
    setText(head.lastChild, on ? '❚❚' : '▶');
  }

  /** Draw a cell again only if what it shows has changed: a picture that stays must not flicker. */
  #cell(line, row, column) {
    let node = line.cells.get(column);
    if (!node) {
      node = el('div', { class: 'cell', role: 'gridcell', 'aria-colindex': column + 2, data: { row, column } });
      line.cells.set(column, node);
    }
    node.style.left = `${this.#size.head + column * (this.#size.wide + GAP)}px`;
    node.tabIndex = row === this.#at[0] && column === this.#at[1] ? 0 : -1;
    const { clips } = this.#cells[row][column];
    const top = clips.find(({ key }) => key === this.#app.focus) ?? clips[0];
    const why = missing(top, STATES);
    const shown = JSON.stringify([top?.key, top?.v, top?.file, why, clips.length, top && verdict(top)]);
    if (node.dataset.shown === shown) return node;
    node.dataset.shown = shown;
    node.dataset.pick = top?.choice.pick ?? 0;
    setAttr(node, 'data-missing', why || null);
    setAttr(node, 'data-sign', top ? [clips.length > 1 ? `${top.take} of ${clips.length}` : top.take, verdict(top)].filter(Boolean).join(' ') : null);
    setAttr(node, 'data-stack', clips.length > 1 ? Math.min(clips.length, 3) : null);
    setAttr(node, 'aria-label', top ? `${top.name}, ${why || verdictWords(top)}, ${plural(clips.length, 'take')}` : why);
    this.#picture(node, why ? undefined : top);
    return node;
  }

  #picture(node, clip) {
    const old = node.querySelector('img');
    if (clip && old?.dataset.key === clip.key && old.hasAttribute('src')) return;
    this.#release(node);
    old?.remove();
    if (clip) node.prepend(still(this.#app, clip, this.#pictures));
  }
}
