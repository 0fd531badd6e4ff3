/** The help: made from the key table, and each row of it is a button that does what it says. */
import { show } from './dialogs.js';
import { button, el } from './dom.js';
import { keyWords } from './keys.js';

/** Show all keys. */
export function help(app) {
  const content = el('div', { class: 'help' });
  const groups = Map.groupBy(app.keys.entries, (entry) => entry.group);
  let dialog = null;
  for (const [group, entries] of groups) {
    const list = el('div', {}, el('h3', { text: group }));
    for (const entry of entries) {
      const run = () => {
        dialog.close('');
        entry.run(app);
      };
      const shown = entry.keys.filter((key) => !/^shift\+(Arrow|Page|Home|End)/.test(key));
      list.append(button('', run, { class: 'entry' }));
      list.lastChild.append(el('span', { text: entry.does }), ...shown.map((key) => el('kbd', { text: keyWords(key) })));
    }
    content.append(list);
  }
  const box = el('input', { type: 'checkbox', checked: app.settings.letters });
  box.addEventListener('change', () => app.configure({ letters: box.checked }));
  content.append(el('label', {}, box, ' Single keys, such as P, do something. Off: only keys with Ctrl, arrows and Enter do.'));
  content.append(el('p', { text: 'Shift with an arrow or a click selects a range, Ctrl with a click adds one clip.' }));
  ({ dialog } = show('Keys', content, 'wide'));
}
