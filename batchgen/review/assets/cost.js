/** What a pick costs: for the batch, by prompt, cell and model, and what was paid for rejects, by reason. */

import { show } from './dialogs.js';
import { el } from './dom.js';
import { micro, money, plural } from './words.js';

const usd = (text) => (text === null || text === undefined ? '–' : money(micro(text)));

/** The sentence at the top: `12 picks of 60 clips, $37.50: $3.13 a pick`. @param {any} cost as the API has it */
export function summary(cost, clips) {
  const sum = `${plural(cost.picks, 'pick')} of ${plural(clips, 'clip')}, ${usd(cost.spent_usd)}`;
  return cost.per_pick_usd === null
    ? `${sum}. A pick has no cost until there is one.`
    : `${sum}: ${usd(cost.per_pick_usd)} a pick.`;
}

/** Open the costs. @param {any} app */
export async function openCost(app) {
  let cost;
  try {
    cost = await app.api.get('cost');
  } catch (error) {
    return void app.say(`No costs: ${error.message}`);
  }
  const clips = [...app.store.clips.values()].filter(({ file }) => file).length;
  const axes = [...new Set(cost.by_cell.map(({ axis }) => axis))];
  const cells = (axis) => cost.by_cell.filter((row) => row.axis === axis).map((row) => ({ ...row, name: row.value }));
  const body = el(
    'div',
    { class: 'costs' },
    el('p', {}, el('strong', { text: summary(cost, clips) })),
    ...axes.map((axis) => perPick(axis, cells(axis))),
    ...(cost.by_model.length > 1 ? [perPick('Model', cost.by_model)] : []),
    perPick('Prompt', cost.by_prompt),
    rejects(cost.rejects_by_reason),
  );
  show('Cost per pick', body, 'wide');
}

function perPick(title, rows) {
  const most = Math.max(1, ...rows.map((row) => micro(row.per_pick_usd)));
  return sheet(
    [title, 'Clips', 'Picks', 'Rejects', 'Spent', 'A pick'],
    rows.map((row) => [
      row.name,
      String(row.clips),
      String(row.picks),
      String(row.rejects),
      usd(row.spent_usd),
      usd(row.per_pick_usd),
      micro(row.per_pick_usd) / most,
    ]),
  );
}

function rejects(rows) {
  if (!rows.length) return el('p', { class: 'quiet', text: 'Nothing is rejected.' });
  return sheet(
    ['Rejected for', 'Clips', 'Paid'],
    rows.map((row) => [row.reason || 'no reason given', String(row.clips), usd(row.spent_usd)]),
  );
}

/** A table with numbers on the right; a number after the last column draws a bar in it. */
function sheet(heads, rows) {
  const cell = (text, index, share) => {
    if (index === 0) return el('th', { scope: 'row', text });
    const node = el('td', { text });
    if (index === heads.length - 1 && share) node.style.setProperty('--share', String(share));
    return node;
  };
  return el(
    'table',
    { class: 'sheet' },
    el('thead', {}, el('tr', {}, ...heads.map((text) => el('th', { scope: 'col', text })))),
    el(
      'tbody',
      {},
      ...rows.map((row) => el('tr', {}, ...heads.map((_, index) => cell(row[index], index, row[heads.length])))),
    ),
  );
}

/** @type {import('./keys.js').Entry[]} */
export const entries = [
  { keys: ['$'], does: 'Cost per pick', group: 'View', icon: '$', modes: ['grid', 'matrix'], run: openCost },
];
