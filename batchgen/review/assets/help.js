/** The help, made from the key table: each row of the open view is a button that does what it says. */
import { show } from './dialogs.js';
import { button, el } from './dom.js';
import { keyWords } from './keys.js';

/** Show all keys: those of the open view first, then what the other views have of their own. */
export function help(app) {
  const content = el('div', { class: 'help' });
  const here = app.keys.of(app.mode.name);
  let dialog = null;
  const press = (entry) => {
    dialog.close('');
    entry.run(app);
  };
  for (const [group, entries] of grouped(here, (entry) => entry.group)) {
    content.append(el('div', {}, el('h3', { text: group }), ...rows(entries, press)));
  }
  for (const [views, entries] of grouped(elsewhere(app.keys.entries, here), ({ modes }) => modes.join(', '))) {
    content.append(el('div', {}, el('h3', { text: `In the view${views.includes(',') ? 's' : ''} ${views}` }), ...rows(entries, null)));
  }
  const box = el('input', { type: 'checkbox', checked: app.settings.letters });
  box.addEventListener('change', () => app.configure({ letters: box.checked }));
  content.append(el('label', {}, box, ' Single keys, such as P, do something. Off: only keys with Ctrl, arrows and Enter do.'));
  content.append(el('p', { text: 'Shift with an arrow or a click selects a range, Ctrl with a click one more clip, and a rectangle drawn with the mouse all that it touches; on a phone, rest a finger on a card.' }));
  ({ dialog } = show('Keys', content, 'widest'));
}

/** What only other views have: each key that does the same in several of them once, with all their names. */
function elsewhere(entries, here) {
  const same = (entry) => JSON.stringify([keysOf(entry), entry.does]);
  const known = new Set(here.map(same));
  return [...grouped(entries.filter((entry) => !known.has(same(entry))), same).values()]
    .map((alike) => ({ ...alike[0], modes: [...new Set(alike.flatMap(({ modes }) => modes))] }));
}

/** A line for each entry, and one for each series. @param {((entry: any) => void)|null} press what a click does */
function rows(entries, press) {
  const lines = grouped(entries, (entry) => entry.series ?? entry);
  return [...lines].map(([name, members]) => (typeof name === 'string' ? series(name, members, press) : row(name, press && (() => press(name)))));
}

function series(name, entries, press) {
  const key = (entry) => {
    const shown = el('kbd', { text: keyWords(entry.keys[0]), title: entry.does });
    return press ? el('button', { type: 'button', class: 'key', 'aria-label': entry.does, on: { click: () => press(entry) } }, shown) : shown;
  };
  return el('div', { class: 'entry' }, el('span', { text: name }), ...entries.map(key));
}

/** The keys of an entry, but for Shift with one that moves: it selects, which is said once, below all. */
const keysOf = ({ keys }) => keys.filter((key) => !(key.startsWith('shift+') && keys.includes(key.slice(6))));

function row(entry, run) {
  const made = run ? button('', run, { class: 'entry' }) : el('div', { class: 'entry' });
  made.append(el('span', { text: entry.does }), ...keysOf(entry).map((key) => el('kbd', { text: keyWords(key) })));
  return made;
}

/** Entries by what a function says of them, in their order. */
function grouped(entries, by) {
  const groups = new Map();
  for (const entry of entries) groups.set(by(entry), [...(groups.get(by(entry)) ?? []), entry]);
  return groups;
}
