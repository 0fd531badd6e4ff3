/**
 * The grid: thousands of clips, and elements only for those in view. Sections, rows and cards are pooled and used again;
 * the line of a group sticks to the top while its takes pass below it.
 */
import { Card } from './card.js';
import { el, framewise, setAttr, setText } from './dom.js';
import { keysIn, layOut, rowAt } from './layout.js';
import { Playback } from './playback.js';
import { Posters } from './posters.js';
import { aspect, commonWords, micro, money, plural } from './words.js';

/** Pixels that are kept ready above and below what is seen. */
const OVERSCAN = 100;
const SETTLED_MS = 150;
const OPEN_PX = 76;

export class Grid {
  #app;
  #node;
  #space;
  #layout = layOut([], { width: 0, size: 190, aspectOf: () => 1, headOf: () => 0 });
  /** @type {Map<string, any>} */
  #sections = new Map();
  /** @type {Map<string, HTMLElement>} first key of a row → its element */
  #rows = new Map();
  /** @type {Map<string, Card>} */
  #cards = new Map();
  #free = { sections: [], rows: [], cards: [] };
  #open = new Set();
  #settling = 0;
  #render = framewise(() => this.#draw());

  constructor(app, node) {
    this.#app = app;
    this.#node = node;
    this.#space = el('div', { class: 'space', role: 'presentation' });
    node.append(this.#space);
    this.posters = new Posters(app, () => this.playback.settle());
    this.playback = new Playback(app, this);
    node.addEventListener('scroll', () => this.#render(), { passive: true });
    new ResizeObserver(() => this.arrange()).observe(node);
  }

  /** The cards that have elements now, by key. */
  get cards() {
    return this.#cards;
  }

  /** Cards that are seen, at least in part. */
  visible() {
    const [top, bottom] = [this.#node.scrollTop, this.#node.scrollTop + this.#node.clientHeight];
    return [...this.#cards.values()].filter((card) => {
      const row = this.#layout.rows[this.#layout.rowOf.get(card.key)];
      return row && row.top < bottom && row.top + row.height > top;
    });
  }

  /** Lay everything out again; what the reader sees stays where it is. */
  arrange() {
    const anchor = this.#anchor();
    this.#layout = layOut(this.#app.arranged.groups, {
      width: this.#node.clientWidth,
      size: this.#app.settings.size,
      aspectOf: (key) => aspect(this.#app.store.get(key)),
      headOf: (group) => (this.#open.has(group.id) ? OPEN_PX : 0),
    });
    this.#space.style.height = `${this.#layout.height}px`;
    setAttr(this.#node, 'aria-rowcount', this.#layout.rows.length);
    if (anchor) this.#node.scrollTop += (this.#topOf(anchor.key) ?? anchor.top) - anchor.top;
    this.#draw();
  }

  /** Show what has changed about clips; their places stay. */
  refresh(keys) {
    for (const key of keys) {
      const card = this.#cards.get(key);
      if (!card) continue;
      this.#show(card);
      this.posters.load(card.img, this.#app.store.get(key));
    }
    for (const [id, section] of this.#sections) if (section.keys.some((key) => keys.has(key))) this.#head(section, id);
  }

  /** A view has come over it, or has gone. */
  covered() {
    this.#draw();
    this.playback.settle();
  }

  /** Bring a clip into view, with the least movement. */
  scrollTo(key) {
    const row = this.#layout.rows[this.#layout.rowOf.get(key)];
    if (!row) return;
    const { scrollTop, clientHeight } = this.#node;
    const head = this.#layout.sections[row.section].head;
    const top = row.top - Math.min(head, 60) - 4;
    if (scrollTop > top) this.#node.scrollTop = row.keys === this.#layout.rows[0]?.keys ? 0 : top;
    else if (scrollTop + clientHeight < row.top + row.height + 4) this.#node.scrollTop = row.top + row.height + 12 - clientHeight;
    this.#draw();
  }

  /** Show which clip has the focus; the browser's focus follows when it is in the grid already, or nowhere. */
  focus(key, before) {
    for (const each of [before, key]) if (this.#cards.has(each)) this.#show(this.#cards.get(each));
    const active = document.activeElement;
    if (active === document.body || this.#node.contains(active)) this.#cards.get(key)?.node.focus({ preventScroll: true });
    this.playback.settle();
  }

  /** The clip that lies some rows (or screens) above or below another, in the nearest column. */
  below(key, rows, screens = 0) {
    const at = this.#layout.rowOf.get(key);
    if (at === undefined) return undefined;
    const column = this.#layout.rows[at].keys.indexOf(key);
    let to = Math.min(this.#layout.rows.length - 1, Math.max(0, at + rows));
    if (screens) {
      const wanted = this.#layout.rows[at].top + screens * this.#node.clientHeight * 0.9;
      to = Math.min(this.#layout.rows.length - 1, rowAt(this.#layout.rows, wanted));
      if (to === at) to = Math.min(this.#layout.rows.length - 1, Math.max(0, at + Math.sign(screens)));
    }
    const { keys } = this.#layout.rows[to];
    return keys[Math.min(column, keys.length - 1)];
  }

  /** The clips below a rectangle of the page that is laid out, also those that have no element now. */
  keysIn(box) {
    return keysIn(this.#layout.rows, box);
  }

  /** Expand or close the prompt of a group. */
  toggle(id) {
    if (!this.#open.delete(id)) this.#open.add(id);
    this.arrange();
  }

  // --- drawing ---------------------------------------------------------------------------------------------

  /** What must not move: the focused card if it is seen, else the first that is. */
  #anchor() {
    const { scrollTop, clientHeight } = this.#node;
    const { rows } = this.#layout;
    const seen = [];
    for (let at = rowAt(rows, scrollTop); at < rows.length && rows[at].top < scrollTop + clientHeight; at += 1) seen.push(...rows[at].keys);
    const shown = seen.filter((key) => this.#app.arranged.has(key));
    const key = shown.includes(this.#app.focus) ? this.#app.focus : shown[0];
    return key ? { key, top: this.#topOf(key) } : null;
  }

  #topOf(key) {
    return this.#layout.rows[this.#layout.rowOf.get(key)]?.top;
  }

  #draw() {
    const { scrollTop, clientHeight } = this.#node;
    const { rows, sections, rowOf } = this.#layout;
    const from = rowAt(rows, scrollTop - OVERSCAN);
    const wanted = [];
    const covered = this.#app.mode.name !== 'grid'; // by a view that fills the page: it needs the elements more
    for (let at = from; !covered && at < rows.length && rows[at].top < scrollTop + clientHeight + OVERSCAN; at += 1) wanted.push(at);
    // The focused card keeps its element wherever it is, so that the browser's focus is never lost by scrolling.
    const kept = rowOf.get(this.#app.focus);
    if (kept !== undefined && !covered && !wanted.includes(kept) && this.#node.contains(document.activeElement)) wanted.push(kept);
    this.#drop(wanted);
    for (const at of wanted) this.#row(at, this.#section(sections[rows[at].section]));
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#settle(), SETTLED_MS);
  }

  #settle() {
    for (const card of this.visible()) this.posters.load(card.img, this.#app.store.get(card.key));
    this.playback.settle();
    this.#app.seen(this.visible().map((card) => card.key));
  }

  /** Take back the elements of what is not wanted any more. */
  #drop(wanted) {
    const { rows, sections } = this.#layout;
    const keys = new Set(wanted.flatMap((at) => rows[at].keys));
    const first = new Set(wanted.map((at) => rows[at].keys[0]));
    const ids = new Set(wanted.map((at) => sections[rows[at].section].id));
    for (const [key, card] of this.#cards) if (!keys.has(key)) this.#freeCard(key, card);
    for (const [key, row] of this.#rows) if (!first.has(key)) this.#freeElement(this.#rows, key, row, 'rows');
    for (const [id, section] of this.#sections) {
      if (!ids.has(id)) this.#freeElement(this.#sections, id, section.node, 'sections', section);
    }
  }

  #freeCard(key, card) {
    this.playback.drop(card);
    this.posters.cancel(card.img);
    card.endScrub();
    this.#cards.delete(key);
    card.node.remove();
    this.#free.cards.push(card);
  }

  #freeElement(map, key, node, kind, whole = node) {
    map.delete(key);
    node.remove();
    this.#free[kind].push(whole);
  }

  #section(place) {
    let section = this.#sections.get(place.id);
    if (!section) {
      section = this.#free.sections.pop() ?? this.#newSection();
      this.#sections.set(place.id, section);
      this.#space.append(section.node);
    }
    section.keys = place.keys;
    section.top = place.top;
    const { style } = section.node;
    style.top = `${place.top}px`; // a transform would place the sticky head as if the section were the first one
    style.height = `${place.height}px`;
    section.head.hidden = !place.head;
    if (place.head) this.#head(section, place.id);
    return section;
  }

  #newSection() {
    const words = el('span', { class: 'words' });
    const facts = el('span', { class: 'facts' });
    const name = el('b');
    const cell = el('button', { type: 'button', class: 'group', tabindex: '-1', on: { click: () => this.toggle(section.id) } }, name, words, facts);
    const head = el('div', { class: 'head', role: 'row' }, el('div', { role: 'rowheader' }, cell));
    const node = el('div', { class: 'section', role: 'rowgroup' }, head);
    const section = { node, head, cell, name, words, facts, keys: [], id: '', top: 0 };
    return section;
  }

  /** The line of a group: what it is, what it came to, what it cost. */
  #head(section, id) {
    section.id = id;
    const clips = this.#app.store.family(section.keys[0]);
    const cells = new Set(clips.map((clip) => clip.prompt_id)).size;
    const picks = clips.filter((clip) => clip.choice.pick === 1).length;
    const spent = clips.reduce((sum, clip) => sum + micro(clip.cost_usd), 0);
    const open = this.#open.has(id);
    setText(section.name, id);
    setText(section.words, open ? clips[0]?.prompt ?? '' : commonWords(clips));
    setText(section.facts, [cells > 1 ? plural(cells, 'cell') : '', plural(clips.length, 'take'), plural(picks, 'pick'), money(spent)].filter(Boolean).join(' · '));
    section.head.classList.toggle('open', open);
    setAttr(section.cell, 'aria-expanded', String(open));
    setAttr(section.cell, 'title', open ? 'Show one line of the prompt' : 'Show the whole prompt');
  }

  #row(at, section) {
    const row = this.#layout.rows[at];
    let node = this.#rows.get(row.keys[0]);
    if (!node) {
      node = this.#free.rows.pop() ?? el('div', { class: 'row', role: 'row' });
      this.#rows.set(row.keys[0], node);
    }
    if (node.parentNode !== section.node) section.node.append(node);
    node.style.transform = `translateY(${row.top - section.top}px)`;
    node.style.setProperty('--cell', `${row.width}px`);
    node.style.setProperty('--tall', `${row.height}px`);
    setAttr(node, 'aria-rowindex', at + 1);
    row.keys.forEach((key, column) => this.#card(key, node, row, column));
  }

  #card(key, node, row, column) {
    let card = this.#cards.get(key);
    const fresh = !card;
    if (!card) {
      card = this.#free.cards.pop() ?? new Card();
      this.#cards.set(key, card);
    }
    // Moving an element restarts its film and takes its focus: only if it is elsewhere.
    if (node.children[column] !== card.node) node.insertBefore(card.node, node.children[column] ?? null);
    const place = row.first + column;
    if (fresh || card.place !== place || card.column !== column) {
      card.place = place;
      card.column = column;
      this.#show(card, key);
    }
    if (fresh) this.posters.showKnown(card.img, this.#app.store.get(key));
  }

  #show(card, key = card.key) {
    const clip = this.#app.store.get(key);
    if (!clip) return;
    card.show(clip, {
      focus: key === this.#app.focus, selected: this.#app.selection.has(key),
      grouped: Boolean(this.#app.arranged.groups[0]?.id), index: card.place, count: this.#app.arranged.keys.length, column: card.column,
    });
    if (clip.file && !card.img.hasAttribute('src')) this.posters.showKnown(card.img, clip);
  }
}
