/** The left rail: the queue, facets with counts, and the prompts with a dot for each take. Few elements, whatever the batch. */
import { $, el, setAttr, setText } from './dom.js';
import { QUEUE } from './filters.js';
import { LABELS, sizeWords } from './words.js';

const LINE = 30;
const MOST_VALUES = 12;
/** Clips of a prompt that have a dot each; of more, it says how many are decided. */
const MOST_DOTS = 6;

export class Rail {
  #app;
  #queue = new Map();
  #facets;
  #prompts;
  #space;
  #lines = [];
  #shown = '';

  constructor(app) {
    this.#app = app;
    const queue = el('div', { class: 'queue' });
    for (const [name, [words]] of Object.entries(QUEUE)) {
      const item = this.#item(words, () => app.setFilter({ queue: name }));
      this.#queue.set(name, item);
      queue.append(item);
    }
    this.#facets = el('div', { class: 'facets' });
    this.#space = el('div', { class: 'space' });
    this.#prompts = el('div', { class: 'prompts', 'aria-label': 'Prompts', role: 'group', on: { scroll: () => this.#drawPrompts() } }, this.#space);
    $('rail').append(queue, this.#facets, this.#prompts);
    new ResizeObserver(() => this.#drawPrompts()).observe(this.#prompts);
  }

  #item(text, run) {
    return el('button', { type: 'button', class: 'item', title: text, on: { click: run } }, el('span', { text }));
  }

  refresh() {
    const { counts } = this.#app.arranged;
    for (const [name, item] of this.#queue) this.#mark(item, counts.get(`queue:${name}`), this.#app.filter.queue === name);
    this.#drawFacets(counts);
    this.#drawPrompts();
  }

  #mark(item, count, on) {
    setAttr(item, 'data-count', (count ?? 0).toLocaleString('en'));
    setAttr(item, 'aria-pressed', String(on));
  }

  /** Facets that the batch has: [title, its values as [words, count name, is on, sets]]. */
  #facetsOf() {
    const { store, filter, arranged } = this.#app;
    const toggled = (list, value) => (list.includes(value) ? list.filter((each) => each !== value) : [...list, value]);
    const facets = axesOf(store).map(({ name, values }) => {
      const on = filter.axes[name] ?? [];
      return [name, values.map((value) => [value, `axis.${name}:${value}`, on.includes(value), { axes: { ...filter.axes, [name]: toggled(on, value) } }])];
    });
    const found = (kind) => [...arranged.counts.keys()].filter((key) => key.startsWith(`${kind}:`)).map((key) => key.slice(kind.length + 1));
    const list = (title, kind, field, words = String) => {
      const values = [...new Set([...found(kind), ...filter[field]])].sort();
      facets.push([title, values.map((value) => [words(value), `${kind}:${value}`, filter[field].includes(value), { [field]: toggled(filter[field], value) }])]);
    };
    list('Tags', 'tag', 'tags');
    list('Size', 'size', 'sizes', sizeWords);
    list('Label', 'label', 'labels');
    facets.at(-1)[1].sort((a, b) => LABELS.indexOf(a[0]) - LABELS.indexOf(b[0]));
    const stars = [5, 4, 3, 2, 1].filter((value) => arranged.counts.has(`stars:${value}`) || filter.stars === value);
    facets.push(['Stars', stars.map((value) => [`${'★'.repeat(value)}${value < 5 ? ' or more' : ''}`, value, filter.stars === value, { stars: filter.stars === value ? 0 : value }])]);
    return facets.filter(([title, values]) => values.length > (title === 'Size' ? 1 : 0));
  }

  #drawFacets(counts) {
    const facets = this.#facetsOf();
    const atLeast = (stars) => [1, 2, 3, 4, 5].filter((value) => value >= stars).reduce((sum, value) => sum + (counts.get(`stars:${value}`) ?? 0), 0);
    const rows = facets.flatMap(([title, values]) => [[title], ...values.slice(0, MOST_VALUES)]);
    const shape = JSON.stringify(rows.map(([words]) => words));
    if (shape !== this.#shown) {
      this.#shown = shape;
      this.#facets.replaceChildren(...rows.map(([words, ...more]) => (more.length ? this.#item(words) : el('h3', { text: words }))));
    }
    rows.forEach(([, name, on, sets], index) => {
      if (!sets) return;
      const item = this.#facets.children[index];
      this.#mark(item, typeof name === 'number' ? atLeast(name) : counts.get(name), on);
      item.onclick = () => this.#app.setFilter(sets);
    });
  }

  #drawPrompts() {
    const prompts = this.#app.store.groups();
    const hidden = prompts.length < 2;
    this.#prompts.hidden = hidden;
    if (hidden) return;
    this.#space.style.height = `${prompts.length * LINE}px`;
    const first = Math.floor(this.#prompts.scrollTop / LINE);
    const count = Math.min(prompts.length - first, Math.ceil(this.#prompts.clientHeight / LINE) + 1);
    while (this.#lines.length < count) {
      const line = this.#item('', () => this.#toggle(line.dataset.group));
      this.#lines.push(line);
      this.#space.append(line);
    }
    this.#lines.forEach((line, index) => {
      line.hidden = index >= count;
      if (!line.hidden) this.#prompt(line, prompts[first + index], (first + index) * LINE);
    });
  }

  #prompt(line, [id, clips], top) {
    setText(line.firstChild, id);
    line.style.transform = `translateY(${top}px)`;
    setAttr(line, 'aria-pressed', String(this.#app.filter.prompt === id));
    const decided = clips.filter((clip) => clip.choice.pick).length;
    setAttr(line, 'data-count', clips.length > MOST_DOTS ? `${decided}/${clips.length}` : dots(clips));
    line.dataset.group = id;
    line.title = `${id}: ${decided} of ${clips.length} decided`;
  }

  #toggle(id) {
    this.#app.setFilter({ prompt: this.#app.filter.prompt === id ? '' : id });
  }
}

/** A dot for each take: picked, rejected, undecided, not there. */
const dots = (clips) => clips.map((clip) => (clip.state !== 'done' ? '·' : { 1: '✓', '-1': '×', 0: '○' }[clip.choice.pick])).join('');

/** The axes of the batch: as the server says, else as the clips have them. */
function axesOf(store) {
  if (store.batch?.axes) return store.batch.axes;
  const axes = new Map();
  for (const clip of store.clips.values()) {
    for (const [name, value] of Object.entries(clip.cell ?? {})) axes.set(name, (axes.get(name) ?? new Set()).add(value));
  }
  return [...axes].map(([name, values]) => ({ name, values: [...values] }));
}
