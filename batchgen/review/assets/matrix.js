/**
 * The matrix: one axis gives the columns, one the rows, the others are tabs. A cell has its takes with the best on top;
 * a head plays its whole line on one clock. Keys work as in the grid.
 */

import { button, el, framewise, setText } from './dom.js';
import { axesOf, table, valueOf } from './axes.js';
import { Line } from './line.js';
import { MatrixTable } from './matrix_table.js';
import { viewBar } from './parts.js';
import { plural } from './words.js';

/** Columns from which the first axis gives the rows: a page is scrolled down more easily than sideways. */
const MOST_COLUMNS = 12;
/** Values of an axis that have a tab each; of more, one is named, with the way to the next. */
const MOST_TABS = 16;

class Matrix {
  /** @type {import('./axes.js').Cell[][]} */
  cells = [];
  at = [0, 0];

  constructor(app) {
    this.app = app;
    this.#build();
    this.line = new Line(app, (name, films) => this.table.playing(name, films));
    this.#findAxes();
    this.draw = framewise(() => this.#draw());
    this.off = [
      app.store.on(({ whole }) => (whole && this.#findAxes(), this.draw())),
      app.onFocus(() => this.#follow()),
    ];
    this.#draw();
  }

  /** Go to the cell of the clip in focus, once the table has its size. */
  begin() {
    this.#focusOn(this.app.focus);
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

  /** The next value of an axis that has tabs. @param {number} by @param {any} [axis] the first of them */
  turnTab(by, axis = this.tabs[0]) {
    if (!axis) return;
    const { values, name } = axis;
    this.fixed[name] = values[(values.indexOf(this.fixed[name]) + by + values.length) % values.length];
    this.#redraw();
  }

  close() {
    for (const off of this.off) off();
    this.line.stop();
    this.table.close();
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
    this.table = new MatrixTable(this.app, {
      go: (row, column) => this.#goTo(row, column),
      play: (name, cells) => this.#play(name, cells),
    });
    this.element = el(
      'section',
      { class: 'view matrix', 'aria-label': 'Matrix', tabindex: '-1' },
      viewBar(this.app, 'Matrix', this.count, this.chooser),
      this.tabRow,
      this.table.element,
    );
  }

  #draw() {
    this.cells = table(this.app.store.clips.values(), this.rows, this.columns, this.fixed);
    const shape = JSON.stringify([this.rows, this.columns, this.fixed]);
    if (this.drawn !== shape) {
      this.drawn = shape;
      this.#drawChooser();
    }
    this.table.show(this.cells, this.rows, this.columns);
    const clips = this.cells.flat().flatMap((cell) => cell.clips);
    const picks = clips.filter(({ choice }) => choice.pick === 1).length;
    setText(this.count, `${plural(clips.length, 'clip')}, ${plural(picks, 'pick')}`);
  }

  #drawChooser() {
    const select = (which, label) => el('label', {}, label, this.#select(which));
    this.chooser.replaceChildren(
      select('columns', 'Columns '),
      button('⇄', () => this.swap(), {
        title: 'Swap rows and columns (W)',
        'aria-label': 'Swap rows and columns',
      }),
      select('rows', 'Rows '),
    );
    this.tabRow.replaceChildren(...this.tabs.map((axis) => this.#tabs(axis)));
  }

  #select(which) {
    const options = this.axes.map(({ name }) =>
      el('option', { value: name, text: name, selected: name === this[which].name }),
    );
    return el('select', { on: { change: ({ target }) => this.#choose(which, target.value) } }, ...options);
  }

  #tabs(axis) {
    const group = el('div', { role: 'group', 'aria-label': axis.name }, el('span', { text: axis.name }));
    group.append(...(axis.values.length > MOST_TABS ? this.#turner(axis) : axis.values.map((value) => this.#tab(axis, value))));
    return group;
  }

  #tab(axis, value) {
    const choose = () => {
      this.fixed[axis.name] = value;
      this.#redraw();
    };
    return button(value || '(none)', choose, { 'aria-pressed': String(this.fixed[axis.name] === value) });
  }

  /** The way through many values: the one before, the name, the one after. */
  #turner(axis) {
    const at = axis.values.indexOf(this.fixed[axis.name]);
    const words = `${axis.values[at] || '(none)'} (${at + 1} of ${axis.values.length.toLocaleString('en')})`;
    const turn = (sign, by, label) => button(sign, () => this.turnTab(by, axis), { 'aria-label': `${label} ${axis.name}`, title: `${label} ${axis.name}` });
    return [turn('‹', -1, 'Previous'), el('b', { text: words }), turn('›', 1, 'Next')];
  }

  /** Play the films of a line; where they are too many, those in view. */
  #play(name, cells) {
    const made = cells
      .map(([row, column]) => ({ clip: this.cells[row][column].clips[0], at: [row, column], node: this.table.node(row, column) }))
      .filter(({ clip }) => clip?.file);
    this.line.toggle(name, made.filter(({ node }) => node), made.length);
  }

  // --- focus ------------------------------------------------------------------------------------------------------

  #cell() {
    return this.cells[this.at[0]]?.[this.at[1]] ?? { clips: [] };
  }

  #goTo(row, column) {
    this.at = [row, column];
    const { clips } = this.#cell();
    if (clips.length && !clips.some(({ key }) => key === this.app.focus)) this.app.setFocus(clips[0].key);
    this.table.focus(row, column);
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
  matrix.begin();
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
