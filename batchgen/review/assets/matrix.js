/**
 * The matrix: one axis gives the columns, one the rows, the others are tabs. A cell has its takes with the best on top;
 * a head plays its whole line on one clock. Keys work as in the grid.
 */

import { button, el, framewise, setAttr, setText } from './dom.js';
import { axesOf, missing, table, valueOf } from './axes.js';
import { Line } from './line.js';
import { loadSeen, still, verdict, verdictWords, viewBar } from './parts.js';
import { STATES, plural } from './words.js';

/** Columns from which the first axis gives the rows: a page is scrolled down more easily than sideways. */
const MOST_COLUMNS = 12;

class Matrix {
  /** @type {import('./axes.js').Cell[][]} */
  cells = [];
  at = [0, 0];

  constructor(app) {
    this.app = app;
    this.#build();
    this.line = new Line(app, (name) => this.#showPlaying(name));
    this.#findAxes();
    this.draw = framewise(() => this.#draw());
    this.off = [
      app.store.on(({ whole }) => (whole && this.#findAxes(), this.draw())),
      app.onFocus(() => this.#follow()),
    ];
    this.#draw();
    this.#focusOn(app.focus);
  }

  // --- what the keys do -------------------------------------------------------------------------------------------

  /** Which clip the keys that decide mean: the one that the cell shows. */
  targets() {
    const { clips } = this.#cell();
    return clips.filter(({ key }) => key === this.app.focus).map(({ key }) => key);
  }

  /** Go to another cell. */
  move(down, right) {
    const [row, column] = this.at;
    const within = (value, count) => Math.min(Math.max(value, 0), count - 1);
    this.#goTo(within(row + down, this.cells.length), within(column + right, this.cells[0].length));
  }

  /** Go to another take of the same cell. @param {number} by */
  take(by) {
    const { clips } = this.#cell();
    const at = clips.findIndex(({ key }) => key === this.app.focus);
    const clip = clips[(at + by + clips.length) % clips.length];
    if (clip) this.app.setFocus(clip.key);
  }

  /** Rows become columns. */
  swap() {
    [this.rows, this.columns] = [this.columns, this.rows];
    this.at.reverse();
    this.#redraw();
  }

  /** The next value of the first tab. @param {number} by */
  turnTab(by) {
    const [axis] = this.tabs;
    if (!axis) return;
    const { values, name } = axis;
    this.fixed[name] = values[(values.indexOf(this.fixed[name]) + by + values.length) % values.length];
    this.#redraw();
  }

  close() {
    for (const off of this.off) off();
    this.line.stop();
    this.pictures.disconnect();
  }

  // --- axes -------------------------------------------------------------------------------------------------------

  /** Take the axes of the batch; those that are shown stay as they are. */
  #findAxes() {
    const axes = axesOf(this.app.store.batch.axes ?? [], [...this.app.store.clips.values()]);
    const named = (axis) => axes.find(({ name }) => name === axis?.name);
    const [first, second] = axes;
    if (!second) return void this.app.pop(); // the batch has changed under it
    const wide = first.values.length > MOST_COLUMNS && second.values.length < first.values.length;
    this.columns = named(this.columns) ?? (wide ? second : first);
    this.rows = named(this.rows) ?? axes.find((axis) => axis !== this.columns);
    this.axes = axes;
    this.fixed ??= {};
    this.#fix();
  }

  /** Every axis that is neither row nor column is a row of tabs. */
  #fix() {
    this.tabs = this.axes.filter((axis) => axis !== this.rows && axis !== this.columns);
    const focused = this.app.store.get(this.app.focus);
    const first = ({ name, values }) =>
      focused && values.includes(valueOf(focused, name)) ? valueOf(focused, name) : values[0];
    this.fixed = Object.fromEntries(this.tabs.map((axis) => [axis.name, this.fixed[axis.name] ?? first(axis)]));
  }

  #choose(which, name) {
    const axis = this.axes.find((each) => each.name === name);
    const other = which === 'rows' ? 'columns' : 'rows';
    if (this[other] === axis) this[other] = this[which];
    this[which] = axis;
    this.#redraw();
  }

  #redraw() {
    this.line.stop();
    this.#fix();
    this.drawn = '';
    this.#draw();
    this.move(0, 0);
  }

  // --- drawing ----------------------------------------------------------------------------------------------------

  #build() {
    this.chooser = el('div', { class: 'axes' });
    this.tabRow = el('div', { class: 'tabs' });
    this.count = el('span', { class: 'where' });
    this.grid = el('div', {
      class: 'matrix-grid',
      role: 'grid',
      'aria-label': 'Matrix',
      on: { click: (event) => this.#clicked(event), dblclick: () => this.app.run?.('Enter') },
    });
    const scrolled = el('div', { class: 'matrix-scroll' }, this.grid);
    this.pictures = loadSeen(this.app, scrolled);
    this.element = el(
      'section',
      { class: 'view matrix', 'aria-label': 'Matrix', tabindex: '-1' },
      viewBar(this.app, 'Matrix', this.count, this.chooser),
      this.tabRow,
      scrolled,
    );
  }

  #draw() {
    this.cells = table(this.app.store.clips.values(), this.rows, this.columns, this.fixed);
    const shape = JSON.stringify([this.rows, this.columns, this.fixed]);
    if (this.drawn !== shape) {
      this.drawn = shape;
      this.#drawHeads();
    }
    this.cells.flat().forEach((cell, index) => this.#drawCell(this.nodes[index], cell));
    const clips = this.cells.flat().flatMap((cell) => cell.clips);
    setText(
      this.count,
      `${plural(clips.length, 'clip')}, ${plural(clips.filter(({ choice }) => choice.pick === 1).length, 'pick')}`,
    );
  }

  #drawHeads() {
    const { rows, columns } = this;
    const select = (which, label) => el('label', {}, label, this.#select(which));
    this.chooser.replaceChildren(
      select('columns', 'Columns '),
      button('⇄', () => this.swap(), {
        title: 'Swap rows and columns (X axis ⇄ Y axis: W)',
        'aria-label': 'Swap rows and columns',
      }),
      select('rows', 'Rows '),
    );
    this.tabRow.replaceChildren(...this.tabs.map((axis) => this.#tabs(axis)));
    this.nodes = this.cells.flatMap((line, row) => line.map((_, column) => this.#cellNode(row, column)));
    const width = columns.values.length;
    this.grid.style.gridTemplateColumns = `max-content repeat(${width}, minmax(var(--cell, 160px), 1fr))`;
    setAttr(this.grid, 'aria-rowcount', rows.values.length + 1);
    setAttr(this.grid, 'aria-colcount', width + 1);
    const corner = el('div', { class: 'corner', role: 'columnheader', text: `${rows.name} ↓ ${columns.name} →` });
    const heads = columns.values.map((value, column) =>
      this.#head('columnheader', value, () => this.cells.map((line) => line[column])),
    );
    const lines = rows.values.map((value, row) =>
      el(
        'div',
        { role: 'row', class: 'axis-line', 'aria-rowindex': row + 2 },
        this.#head('rowheader', value, () => this.cells[row]),
        ...this.nodes.slice(row * width, (row + 1) * width),
      ),
    );
    this.grid.replaceChildren(
      el('div', { role: 'row', class: 'axis-line', 'aria-rowindex': '1' }, corner, ...heads),
      ...lines,
    );
  }

  #select(which) {
    const options = this.axes.map(({ name }) =>
      el('option', { value: name, text: name, selected: name === this[which].name }),
    );
    return el('select', { on: { change: ({ target }) => this.#choose(which, target.value) } }, ...options);
  }

  #tabs(axis) {
    const tab = (value) =>
      button(
        value || '(none)',
        () => {
          this.fixed[axis.name] = value;
          this.#redraw();
        },
        { 'aria-pressed': String(this.fixed[axis.name] === value) },
      );
    return el(
      'div',
      { role: 'group', 'aria-label': axis.name },
      el('span', { text: axis.name }),
      ...axis.values.map(tab),
    );
  }

  #head(role, value, cells) {
    return el(
      'div',
      { role, class: 'axis-head' },
      el('span', { text: value || '(none)' }),
      button('▶', () => this.#play(`${role} ${value}`, cells()), {
        data: { line: `${role} ${value}` },
        title: 'Play this line in sync',
        'aria-label': `Play ${value} in sync`,
      }),
    );
  }

  #play(name, cells) {
    const flat = this.cells.flat();
    this.line.toggle(
      name,
      cells.map((cell) => ({ clip: cell.clips[0], node: this.nodes[flat.indexOf(cell)] })),
    );
  }

  #showPlaying(name) {
    for (const each of this.grid.querySelectorAll('[data-line]')) {
      setAttr(each, 'aria-pressed', String(each.dataset.line === name));
      setText(each, each.dataset.line === name ? '❚❚' : '▶');
    }
  }

  #cellNode(row, column) {
    return el('div', {
      class: 'cell',
      role: 'gridcell',
      tabindex: '-1',
      'aria-colindex': column + 2,
      data: { row, column },
    });
  }

  /** Draw a cell again only if what it shows has changed: a picture that stays must not flicker. */
  #drawCell(node, cell) {
    const top = cell.clips.find(({ key }) => key === this.app.focus) ?? cell.clips[0];
    const why = missing(top, STATES);
    const shown = JSON.stringify([
      top?.key,
      top?.v,
      top?.file,
      why,
      cell.clips.map(({ key, choice }) => [key, choice.pick, choice.stars]),
    ]);
    if (node.dataset.shown === shown) return;
    node.dataset.shown = shown;
    node.dataset.pick = top?.choice.pick ?? 0;
    setAttr(node, 'data-missing', Boolean(why));
    setAttr(
      node,
      'aria-label',
      top ? `${top.name}, ${why || verdictWords(top)}, ${plural(cell.clips.length, 'take')}` : why,
    );
    const stack = Math.min(cell.clips.length, 3);
    setAttr(node, 'data-stack', stack > 1 ? stack : null);
    node.replaceChildren(
      why ? el('span', { class: 'why', text: why }) : still(this.app, top, this.pictures),
      el('span', { class: 'sign', text: top ? [`${top.take}`, verdict(top)].filter(Boolean).join(' ') : '' }),
      ...(cell.clips.length > 1 ? [el('span', { class: 'takes', text: `${cell.clips.length} takes` })] : []),
    );
  }

  // --- focus ------------------------------------------------------------------------------------------------------

  #cell() {
    return this.cells[this.at[0]]?.[this.at[1]] ?? { clips: [] };
  }

  #goTo(row, column) {
    this.nodes[this.at[0] * this.columns.values.length + this.at[1]]?.setAttribute('tabindex', '-1');
    this.at = [row, column];
    const { clips } = this.#cell();
    if (clips.length && !clips.some(({ key }) => key === this.app.focus)) this.app.setFocus(clips[0].key);
    const node = this.nodes[row * this.columns.values.length + column];
    node.tabIndex = 0;
    node.focus({ preventScroll: true });
    node.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  /** Go to the cell of a clip, if this table has it. */
  #focusOn(key) {
    const row = this.cells.findIndex((line) => line.some(({ clips }) => clips.some((clip) => clip.key === key)));
    const column = row < 0 ? 0 : this.cells[row].findIndex(({ clips }) => clips.some((clip) => clip.key === key));
    this.#goTo(Math.max(row, 0), column);
  }

  #follow() {
    this.draw();
    if (!this.#cell().clips.some(({ key }) => key === this.app.focus)) this.#focusOn(this.app.focus);
  }

  #clicked(event) {
    const node = event.target.closest('.cell');
    if (node) this.#goTo(Number(node.dataset.row), Number(node.dataset.column));
  }
}

/** Open the matrix. @param {any} app */
export function openMatrix(app) {
  if (axesOf(app.store.batch?.axes ?? [], [...app.store.clips.values()]).length < 2) {
    return void app.say('A matrix needs two axes with more than one value each: this batch has none');
  }
  const matrix = new Matrix(app);
  app.push({
    name: 'matrix',
    element: matrix.element,
    view: matrix,
    targets: () => matrix.targets(),
    stays: true,
    close: () => matrix.close(),
    cover: () => matrix.line.stop(),
  });
  matrix.move(0, 0);
}

const MODES = ['matrix'];
const here = (run) => (app) => run(app.mode.view);

/** @type {import('./keys.js').Entry[]} */
export const entries = [
  { keys: ['t'], does: 'Matrix: one axis by another', group: 'View', icon: '▦', modes: ['grid'], run: openMatrix },
  { keys: ['t'], does: 'Back to the grid', group: 'View', modes: MODES, run: (app) => app.pop() },
  { keys: ['ArrowLeft'], does: 'Cell to the left', group: 'Move', modes: MODES, run: here((it) => it.move(0, -1)) },
  { keys: ['ArrowRight'], does: 'Cell to the right', group: 'Move', modes: MODES, run: here((it) => it.move(0, 1)) },
  { keys: ['ArrowUp'], does: 'Cell above', group: 'Move', modes: MODES, run: here((it) => it.move(-1, 0)) },
  { keys: ['ArrowDown'], does: 'Cell below', group: 'Move', modes: MODES, run: here((it) => it.move(1, 0)) },
  {
    keys: ['Home'],
    does: 'First cell of the row',
    group: 'Move',
    modes: MODES,
    run: here((it) => it.move(0, -Infinity)),
  },
  { keys: ['End'], does: 'Last cell of the row', group: 'Move', modes: MODES, run: here((it) => it.move(0, Infinity)) },
  {
    keys: ['ctrl+ArrowDown', 'Space'],
    does: 'Next take of the cell',
    group: 'Move',
    modes: MODES,
    run: here((it) => it.take(1)),
  },
  {
    keys: ['ctrl+ArrowUp'],
    does: 'Previous take of the cell',
    group: 'Move',
    modes: MODES,
    run: here((it) => it.take(-1)),
  },
  { keys: ['w'], does: 'Swap rows and columns', group: 'View', modes: MODES, run: here((it) => it.swap()) },
  { keys: ['PageDown'], does: 'Next tab', group: 'Move', modes: MODES, run: here((it) => it.turnTab(1)) },
  { keys: ['PageUp'], does: 'Previous tab', group: 'Move', modes: MODES, run: here((it) => it.turnTab(-1)) },
];
