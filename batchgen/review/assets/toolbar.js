/** The tools over the grid, the decisions below it on a phone, and what stands there when no clip is shown. */
import { $, button, copyButton, el, setText } from './dom.js';
import { tooltip } from './keys.js';
import { money, micro, moment, plural } from './words.js';

/** Settings whose button shows whether they are on, by the key of the entry. */
const SWITCHES = { a: 'advance', 'shift+a': 'autoplay', i: 'info', '[': 'rail' };
const TYPED_MS = 120;

export class Toolbar {
  #app;
  #search;
  #summary;
  #selected;
  #switches = [];

  constructor(app) {
    this.#app = app;
    let typed = 0;
    this.#search = el('input', { type: 'search', placeholder: 'Search: words, -word, seed:, tag:', 'aria-label': 'Search', value: app.filter.search });
    const apply = () => {
      clearTimeout(typed);
      if (app.filter.search !== this.#search.value) app.setFilter({ search: this.#search.value });
    };
    this.#search.addEventListener('input', () => {
      clearTimeout(typed);
      typed = setTimeout(apply, TYPED_MS);
    });
    this.#search.addEventListener('keydown', (event) => {
      if (!['Escape', 'Enter'].includes(event.key)) return;
      apply();
      this.#search.blur();
      app.setFocus(app.focus);
    });
    const size = el('input', { type: 'range', min: 160, max: 480, step: 10, value: app.settings.size, 'aria-label': 'Size of the cards' });
    size.addEventListener('input', () => app.configure({ size: Number(size.value) }));
    this.#summary = el('span', { class: 'summary', role: 'status' });
    const entryOf = (key) => app.keys.entries.find((entry) => entry.keys.includes(key));
    const byKey = (key) => this.button(entryOf(key));
    const views = app.keys.entries.filter((entry) => entry.icon && entry.group === 'View').map((entry) => this.button(entry));
    const gap = el('span', { class: 'gap' });
    $('toolbar').append(byKey('['), this.#search, this.#summary, gap, ...views, size, byKey('shift+a'), byKey('a'), byKey('ctrl+z'), byKey('ctrl+shift+z'), byKey('i'));
    const loupe = app.keys.of('grid').filter((entry) => entry.keys.includes('Enter')).map((entry) => this.button(entry));
    this.#selected = el('b', { class: 'selected', role: 'status' });
    const end = button('×', () => app.selection.clear(), { class: 'end', title: 'End the selection (Esc)', 'aria-label': 'End the selection' });
    const decide = (key) => Object.assign(byKey(key), { title: tooltip(entryOf(key)) });
    $('decide').append(this.#selected, ...loupe, ...['p', 'x', 'u', 'b', 'n', 'g', 'c', 'r', 'i'].map(decide), end);
  }

  /** A button that does what an entry of the key table does. */
  button(entry) {
    const name = SWITCHES[entry.keys[0]];
    const made = button(entry.icon ?? entry.does, () => entry.run(this.#app), { 'aria-label': entry.does, data: { key: entry.keys[0], tip: tooltip(entry) } });
    if (name) this.#switches.push([made, name]);
    return made;
  }

  search() {
    this.#search.focus();
    this.#search.select();
  }

  refresh() {
    for (const [made, name] of this.#switches) made.setAttribute('aria-pressed', String(this.#app.settings[name]));
    const { selection } = this.#app;
    document.body.classList.toggle('selecting', selection.size > 0);
    setText(this.#selected, selection.size ? `${selection.size.toLocaleString('en')} selected` : '');
    setText(this.#summary, selection.size > 1 ? `${selection.size.toLocaleString('en')} selected` : plural(this.#app.list().length, 'clip'));
    if (document.activeElement !== this.#search) this.#search.value = this.#app.filter.search;
  }

  /** Say what to do where there is nothing, and what failed where that is shown. */
  showEmpty() {
    const { store, filter } = this.#app;
    if (!store.batch) return;
    const none = !this.#app.list().length;
    $('empty').hidden = !none;
    if (none) $('empty').replaceChildren(...this.#emptyWords());
    $('notice').replaceChildren(...(filter.queue === 'failed' ? this.#failures() : filter.queue === 'unconfirmed' ? this.#unconfirmed() : []));
  }

  #emptyWords() {
    const { store, filter } = this.#app;
    const clips = [...store.clips.values()];
    const done = clips.filter((clip) => clip.state === 'done');
    const picks = done.filter((clip) => clip.choice.pick === 1).length;
    const all = button('Show all clips', () => this.#app.setFilter({ queue: 'all', search: '', prompt: '', axes: {}, tags: [], sizes: [], labels: [], stars: 0 }));
    const line = (text) => el('p', { text });
    if (!clips.length) return [line('No clip yet.'), line('`batchgen run` makes them; they appear here by themselves.')];
    if (filter.queue === 'undecided' && done.length && done.every((clip) => clip.choice.pick)) {
      const next = [line(`All ${done.length} decided: ${plural(picks, 'pick')}.`), line('`batchgen picks` lists them; `batchgen export` hands them over.')];
      return [...next, button('Show the picks', () => this.#app.setFilter({ queue: 'picks' })), all];
    }
    const words = { picks: 'No picks. P picks a clip.', rejected: 'Nothing is rejected.', flagged: 'No clip is flagged.', failed: 'No clip failed.', unconfirmed: 'No clip is unconfirmed.' };
    const filtered = filter.search || filter.prompt || filter.tags.length || filter.sizes.length || filter.stars || Object.keys(filter.axes).length;
    return [line(filtered ? 'No clip fits this filter.' : words[filter.queue] ?? 'Nothing to decide yet.'), all];
  }

  #failures() {
    return (this.#app.store.batch.failures ?? []).map(({ cause, count, command, paid_usd }) => {
      const paid = micro(paid_usd) ? `, ${money(micro(paid_usd))} paid` : ', nothing paid';
      return el('div', { class: 'cause' }, el('p', { text: `${plural(count, 'clip')}${paid}: ${cause}` }), ...this.#command(command));
    });
  }

  #unconfirmed() {
    return (this.#app.store.batch.unconfirmed ?? []).map(({ clip, since, usd, known, command }) => {
      const name = this.#app.store.get(clip)?.name ?? clip;
      const facts = `${name}: submitted ${moment(since)}, ${money(micro(usd))} reserved. ${known ?? ''}`;
      return el('div', { class: 'cause' }, el('p', { text: facts }), ...this.#command(command));
    });
  }

  #command(command) {
    return command ? [el('code', { text: command }), copyButton(this.#app, 'the command', () => command)] : [];
  }
}
