/** What the grid can do: its rows of the key table. */
import { askText } from './dialogs.js';
import { button, el } from './dom.js';
import { help } from './help.js';
import { LABELS, REASONS, micro, money, plural } from './words.js';

const VIEWING = ['grid', 'loupe', 'compare', 'matrix'];
const MOVE = 'Move';
const DECIDE = 'Decide';
const PAGE = 'Page';

/** Go to a clip that another function names; Shift takes all in between into the selection. */
const go = (find) => (app, event) => {
  const key = find(app, app.list());
  if (key === undefined) return;
  if (event?.shiftKey) app.selection.to(key);
  else app.selection.moved();
  app.setFocus(key, { scroll: true });
};
const by = (step) => go((app, list) => list[Math.min(list.length - 1, Math.max(0, list.indexOf(app.focus) + step))]);

/** The first clip of the group that lies before or after the focused one. */
const byGroup = (step) => go((app) => {
  const { groups } = app.arranged;
  const at = groups.findIndex((group) => group.keys.includes(app.focus));
  return groups[Math.min(groups.length - 1, Math.max(0, at + step))]?.keys[0];
});

const move = (keys, does, run) => ({ keys: keys.flatMap((key) => [key, `shift+${key}`]), does, group: MOVE, modes: ['grid'], run });
const select = (keys, does, run, more = {}) => ({ keys, does, group: 'Select', modes: ['grid'], run, ...more });
const jump = (keys, does, run) => ({ keys, does, group: MOVE, modes: ['grid'], run });

/** Set fields of the focused clip, or of all that are selected. */
const set = (fields) => (app) => app.choices.set(app.targets(), fields, { advance: true });

async function pick(app) {
  const keys = app.targets();
  await app.choices.set(keys, { pick: 1 }, { advance: true });
  offerSkip(app, keys);
}

/** A pick can make further takes of its prompt needless: say what they would cost, and leave it to the reader. */
function offerSkip(app, keys) {
  const clip = keys.length === 1 ? app.store.get(keys[0]) : undefined;
  if (!clip || app.store.batch.skipped?.[clip.prompt_id]) return;
  const pending = app.store.siblings(clip.key).filter((each) => each.state === 'pending' && each.wanted);
  if (!pending.length) return;
  const usd = money(pending.reduce((sum, each) => sum + micro(each.price_usd), 0));
  app.say(`${clip.prompt_id}: ${plural(pending.length, 'further take')} not made yet (${usd}).`, {
    sticky: true,
    actions: [{ label: 'Stop further takes', run: () => skip(app, clip.prompt_id, true) }],
  });
}

/** Have the pending takes of a prompt not made, or made after all. */
export async function skip(app, prompt_id, skipped) {
  const answer = await app.attempt(app.api.post('skip', { prompt_id, skip: skipped }));
  if (!answer) return;
  const count = plural(answer.clips, 'pending take');
  const words = skipped ? `${count} not made, ${money(micro(answer.saved_usd))} saved` : `${count} will be made after all`;
  app.say(`${prompt_id}: ${words}.`, { action: { label: 'Undo', run: () => skip(app, prompt_id, !skipped) } });
  app.live.poll();
}

/** Reject, then let the digits say why; any other key goes on without a reason. */
function reject(app) {
  const keys = app.targets();
  if (keys.length) app.choices.set(keys, { pick: -1 }, { advance: true, shown: () => askWhy(app, keys) });
}

function askWhy(app, keys) {
  const names = keys.length === 1 ? app.store.get(keys[0])?.name : `these ${keys.length} clips`;
  const chooser = el('div', { class: 'reasons', role: 'group', 'aria-label': `The reason for rejecting ${names}` }, el('span', { text: `${names}: why?` }));
  const give = (reason) => {
    app.keys.endChooser();
    app.choices.set(keys, { reason });
  };
  REASONS.forEach((reason, index) => chooser.append(button(`${index + 1} ${reason}`, () => give(reason))));
  document.body.append(chooser);
  const rows = REASONS.map((reason, index) => ({ keys: [String(index + 1)], run: () => give(reason) }));
  app.keys.choose(rows, () => chooser.remove());
}

async function note(app) {
  const keys = app.targets();
  if (!keys.length) return;
  const value = app.store.get(keys[0]).choice.note;
  const text = await askText({ title: 'Note', value, hint: 'Enter saves, Shift-Enter begins a new line.', lines: 4 });
  if (text !== null) app.choices.set(keys, { note: text.trim() });
}

async function tag(app) {
  const keys = app.targets();
  if (!keys.length) return;
  const value = app.store.get(keys[0]).choice.tags.join(', ');
  const text = await askText({ title: 'Tags', value, hint: 'Words with commas between them. Enter saves.' });
  if (text !== null) app.choices.set(keys, { tags: tagsOf(text) });
}

/** Tags of a text: sorted, each once. */
export const tagsOf = (text) => [...new Set(text.split(',').map((each) => each.trim().replace(/\s+/g, ' ')).filter(Boolean))].sort();

const one = (keys, does, run, more = {}) => ({ keys, does, group: DECIDE, modes: VIEWING, run, ...more });
const page = (keys, does, run, more = {}) => ({ keys, does, group: PAGE, modes: ['grid'], run, ...more });

/** @type {import('./keys.js').Entry[]} */
export const entries = [
  one(['p'], 'Pick', pick, { icon: '✓' }),
  one(['x'], 'Reject', reject, { icon: '✗' }),
  one(['u'], 'Clear the decision', set({ pick: 0 }), { icon: '○' }),
  ...[1, 2, 3, 4, 5].map((stars) => one([String(stars)], plural(stars, 'star'), set({ stars }), { series: 'Stars' })),
  one(['0'], 'No stars', set({ stars: 0 }), { series: 'Stars' }),
  ...LABELS.map((label, index) => one([String(6 + index)], `Label ${label}`, set({ label }), { series: 'Label' })),
  one(['`'], 'No label', set({ label: '' }), { series: 'Label' }),
  one(['n'], 'Note', note, { icon: '✎' }),
  one(['g'], 'Tags', tag, { icon: '#' }),
  one(['ctrl+z'], 'Undo', (app) => app.choices.undo(), { icon: '↶' }),
  one(['ctrl+shift+z', 'ctrl+y'], 'Do again what was undone', (app) => app.choices.redo(), { icon: '↷' }),
  one(['a'], 'Auto-advance on or off', (app) => app.toggle('advance', 'Auto-advance'), { icon: '⇥' }),
  move(['ArrowLeft'], 'Previous clip', by(-1)),
  move(['ArrowRight'], 'Next clip', by(1)),
  move(['ArrowUp'], 'Up', go((app) => app.grid.below(app.focus, -1))),
  move(['ArrowDown'], 'Down', go((app) => app.grid.below(app.focus, 1))),
  move(['PageUp'], 'A screen up', go((app) => app.grid.below(app.focus, 0, -1))),
  move(['PageDown'], 'A screen down', go((app) => app.grid.below(app.focus, 0, 1))),
  move(['Home'], 'First clip', go((_, list) => list[0])),
  move(['End'], 'Last clip', go((_, list) => list.at(-1))),
  jump(['ctrl+ArrowUp', 'ctrl+ArrowLeft'], 'Previous prompt', byGroup(-1)),
  jump(['ctrl+ArrowDown', 'ctrl+ArrowRight'], 'Next prompt', byGroup(1)),
  jump(['Space'], 'Play or stop the film of this card', (app) => app.grid.playback.toggle()),
  select(['b'], 'Select this clip, or take it out', (app) => app.focus && app.selection.collect(app.focus), { icon: '☑' }),
  select(['ctrl+a'], 'Select all that are shown', (app) => app.selection.set(app.list())),
  select(['shift+b'], 'Select all but these', (app) => app.selection.set(app.list().filter((key) => !app.selection.has(key)))),
  page(['/'], 'Search', (app) => app.toolbar.search()),
  page(['i'], 'Facts of the clip', (app) => app.toggle('info'), { icon: 'i' }),
  page(['['], 'Queue and filters', (app) => app.toggle('rail'), { icon: '☰' }),
  page(['shift+a'], 'Autoplay on or off', (app) => app.toggle('autoplay', 'Autoplay'), { icon: '▶' }),
  page(['?'], 'All keys', help, { modes: ['*'], icon: '?' }),
  page(['Escape'], 'Back, or end the selection', (app) => app.back(), { modes: ['*'] }),
];
