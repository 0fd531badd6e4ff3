/** The right panel: everything about the focused clip, each fact with a button that copies it. */
import { skip, tagsOf } from './commands.js';
import { inWords } from './choices.js';
import { $, button, copyButton, el } from './dom.js';
import { tooltip } from './keys.js';
import { LABELS, STATES, duration, flagWords, flagsOf, marked, micro, moment, money, plural, sizeWords } from './words.js';

export class Panel {
  #app;
  #key = null;
  #more = null;
  #asked = 0;

  constructor(app) {
    this.#app = app;
  }

  /** Show the focused clip; what only the server knows follows a moment later. */
  show() {
    const { focus, settings } = this.#app;
    clearTimeout(this.#asked);
    if (!settings.info) return;
    if (this.#app.mode.name !== 'grid') {
      $('panel').replaceChildren(); // nobody sees it
      return;
    }
    if (focus !== this.#key) {
      this.#key = focus;
      this.#more = null;
    }
    this.#draw();
    if (focus) this.#asked = setTimeout(() => this.#ask(focus), 200);
  }

  /** Show again what has changed, unless the reader is writing here. */
  refresh(keys) {
    if (keys.has(this.#key) && !$('panel').contains(document.activeElement)) this.show();
  }

  async #ask(key) {
    try {
      const more = await this.#app.api.get(`clips/${encodeURIComponent(key)}`);
      if (key !== this.#key || this.#app.mode.name !== 'grid') return;
      this.#more = more;
      if (!$('panel').querySelector('textarea:focus, input:focus')) this.#draw();
    } catch {
      // The bar at the top says that nobody answers; what the grid knows stays here.
    }
  }

  #draw() {
    const clip = this.#app.store.get(this.#key);
    const panel = $('panel');
    const { scrollTop } = panel;
    const focused = panel.contains(document.activeElement) ? document.activeElement.dataset.part : null;
    panel.replaceChildren(...(clip ? this.#parts(clip) : [el('p', { class: 'none', text: 'No clip is chosen.' })]));
    panel.scrollTop = scrollTop;
    if (focused) panel.querySelector(`[data-part="${focused}"]`)?.focus({ preventScroll: true });
  }

  #parts(clip) {
    const count = this.#app.selection.size;
    const title = el('h2', { text: count > 1 ? `${plural(count, 'clip')} selected` : clip.name });
    return [
      el('div', { class: 'title' }, title, copyButton(this.#app, 'the name', () => clip.name)),
      this.#decisions(clip),
      ...(count > 1 ? [el('h3', { text: `The one in focus: ${clip.name}` })] : []),
      this.#prompt(clip),
      ...this.#flags(clip),
      this.#facts(clip),
      this.#words(clip),
      ...this.#skipped(clip),
      ...this.#history(),
    ];
  }

  /** The buttons of all decisions; what is set is pressed. */
  #decisions(clip) {
    const { choice } = clip;
    const made = (key, text, on) => {
      const entry = this.#app.keys.entries.find((each) => each.keys.includes(key));
      return button(text, () => entry.run(this.#app), { title: tooltip(entry), 'aria-label': entry.does, 'aria-pressed': on === null ? null : String(on), data: { part: key } });
    };
    const row = (name, ...buttons) => el('div', { class: name }, ...buttons);
    return row('decisions',
      row('picks', made('p', '✓ Pick', choice.pick === 1), made('x', '✗ Reject', choice.pick === -1), made('u', 'Clear', null)),
      row('stars', ...[1, 2, 3, 4, 5].map((stars) => made(String(stars), choice.stars >= stars ? '★' : '☆', choice.stars === stars)), made('0', '0', null)),
      row('labels', ...LABELS.map((label, index) => made(String(6 + index), '●', choice.label === label)), made('`', '–', null)));
  }

  /** The prompt as it was sent; words that other prompts of its family have not are marked. */
  #prompt(clip) {
    const others = this.#app.store.family(clip.key).map((each) => each.prompt).filter((prompt) => prompt !== clip.prompt);
    const text = el('p', { class: 'prompt' });
    for (const [part, differs] of marked(clip.prompt, [...new Set(others)].slice(0, 20))) {
      text.append(differs ? el('mark', { text: part }) : part);
    }
    return el('div', { class: 'said' }, text, copyButton(this.#app, 'the prompt', () => clip.prompt));
  }

  #flags(clip) {
    const flags = flagsOf(clip).map((flag) => el('li', { text: flagWords(flag) }));
    return flags.length ? [el('ul', { class: 'flags' }, ...flags)] : [];
  }

  #facts(clip) {
    const { request, params, sha256, bytes, attempts } = this.#more ?? {};
    const list = el('dl');
    const siblings = this.#app.store.siblings(clip.key);
    const fact = (name, value, differs = false, shown = String(value)) => {
      if (value === null || value === undefined || value === '') return;
      const text = String(value);
      list.append(el('dt', { text: name }), el('dd', { text: shown, class: differs ? 'differs' : '' }, copyButton(this.#app, name.toLowerCase(), () => text)));
    };
    const differs = (field) => siblings.some((each) => each[field] !== clip[field]);
    if (clip.state !== 'done') fact('State', STATES[clip.state]);
    fact('Reason', clip.reason);
    fact('Seed', clip.seed, differs('seed'));
    for (const [axis, value] of Object.entries(clip.cell ?? {})) fact(axis, value);
    fact('Size asked', sizeWords(clip.size), differs('size'));
    fact('Size got', gotWords(clip.got));
    fact('Duration', timeWords(clip.duration), differs('duration'));
    fact('Model', clip.model, differs('model'));
    fact('Cost', clip.cost_usd === null ? null : money(micro(clip.cost_usd)));
    if (clip.cost_usd === null && clip.price_usd) fact('Expected cost', money(micro(clip.price_usd)));
    fact('Submitted', moment(clip.at));
    fact('In the queue', timeWords(clip.queue_s));
    fact('Run time', timeWords(clip.run_s));
    fact('Loudness', clip.check?.lufs === undefined ? null : `${clip.check.lufs} LUFS`);
    fact('Follows up', clip.parent && (this.#app.store.get(clip.parent)?.name ?? clip.parent));
    fact('Request', clip.request_id ?? request?.id);
    for (const [name, value] of Object.entries(params ?? {})) fact(name, typeof value === 'object' ? JSON.stringify(value) : value);
    fact('File', clip.file);
    fact('Bytes', bytes?.toLocaleString('en'));
    fact('sha256', sha256, false, `${sha256?.slice(0, 20)}…`);
    fact('Attempts', attempts > 1 ? attempts : null);
    return list;
  }

  /** Note and tags: saved when the reader leaves the field. */
  #words(clip) {
    const save = (fields) => this.#app.choices.set([clip.key], fields);
    const note = el('textarea', { rows: 2, maxlength: 4000, 'aria-label': 'Note', placeholder: 'Note (N)', data: { part: 'note' } });
    note.value = clip.choice.note;
    note.addEventListener('change', () => save({ note: note.value.trim() }));
    const tags = el('input', { 'aria-label': 'Tags', placeholder: 'Tags, with commas (G)', value: clip.choice.tags.join(', '), data: { part: 'tags' } });
    tags.addEventListener('change', () => save({ tags: tagsOf(tags.value) }));
    for (const field of [note, tags]) field.addEventListener('keydown', (event) => event.key === 'Escape' && this.#leave(field));
    return el('div', { class: 'written' }, note, tags);
  }

  /** Save what is written, and give the keys back to the grid. */
  #leave(field) {
    field.blur();
    this.#app.setFocus(this.#app.focus);
  }

  #skipped(clip) {
    const count = this.#app.store.batch.skipped?.[clip.prompt_id];
    if (!count) return [];
    const undo = button('Make them after all', () => skip(this.#app, clip.prompt_id, false));
    return [el('div', { class: 'skipped' }, el('p', { text: `${plural(count, 'pending take')} of this prompt will not be made.` }), undo)];
  }

  #history() {
    const changes = (this.#more?.history ?? []).slice(-6).reverse();
    if (!changes.length) return [];
    const lines = changes.map((change) => el('li', { text: `${moment(change.at)} ${change.by} ${inWords(change.set)}` }));
    return [el('h3', { text: 'Decisions' }), el('ol', { class: 'history' }, ...lines)];
  }
}

const timeWords = (seconds) => (seconds === null || seconds === undefined ? null : duration(seconds));

/** What the file has: size, frames a second, length, as far as they are known. */
function gotWords(got) {
  if (!got) return null;
  const parts = [`${got.width} × ${got.height}`, got.fps ? `${got.fps} fps` : '', timeWords(got.duration_s)];
  return parts.filter(Boolean).join(', ');
}
