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
    content.append(el('div', {}, el('h3', { text: group }), ...entries.map((entry) => row(entry, () => press(entry)))));
  }
  const elsewhere = app.keys.entries.filter((entry) => !here.includes(entry));
  for (const [mode, entries] of grouped(elsewhere, (entry) => entry.modes[0])) {
    content.append(el('div', {}, el('h3', { text: `In the view “${mode}”` }), ...entries.map((entry) => row(entry, null))));
  }
  const box = el('input', { type: 'checkbox', checked: app.settings.letters });
  box.addEventListener('change', () => app.configure({ letters: box.checked }));
  content.append(el('label', {}, box, ' Single keys, such as P, do something. Off: only keys with Ctrl, arrows and Enter do.'));
  content.append(el('p', { text: 'Shift with an arrow or a click selects a range, Ctrl with a click adds one clip.' }));
  ({ dialog } = show('Keys', content, 'wide'));
}

function row(entry, run) {
  // Shift with a moving key selects; it is said once, below.
  const shown = entry.keys.filter((key) => !(key.startsWith('shift+') && entry.keys.includes(key.slice(6))));
  const made = run ? button('', run, { class: 'entry' }) : el('div', { class: 'entry' });
  made.append(el('span', { text: entry.does }), ...shown.map((key) => el('kbd', { text: keyWords(key) })));
  return made;
}

/** Entries by what a function says of them, in their order. */
function grouped(entries, by) {
  const groups = new Map();
  for (const entry of entries) groups.set(by(entry), [...(groups.get(by(entry)) ?? []), entry]);
  return groups;
}
