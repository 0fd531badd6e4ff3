/** The cart on the page: its lines with prices, the sum against the budget, and the written follow-up with its command. */

import { FIRST_COUNT, lineWords } from './cart.js';
import { show } from './dialogs.js';
import { button, copyButton, el } from './dom.js';
import { chooseFinal, editPrompt } from './follow_up.js';
import { duration, micro, money, plural, sizeWords } from './words.js';

/** What a price is in words; one that is unknown is not 0. */
const price = (usd) => (usd === null || usd === undefined ? 'price unknown' : money(micro(usd)));

/** Open the cart. @param {any} app */
export function openCart(app) {
  const { cart } = app;
  const body = el('div', { class: 'follow-up' });
  let answer = null;
  const refresh = async () => {
    draw();
    if (!cart.lines.length) return;
    const lines = cart.lines;
    try {
      const priced = await cart.price();
      if (lines !== cart.lines) return; // changed meanwhile: the next answer counts
      answer = priced;
      draw();
    } catch (error) {
      body.querySelector('.sum')?.replaceChildren(el('p', { class: 'fault', text: `No price: ${error.message}` }));
    }
  };
  const draw = () =>
    body.replaceChildren(...(cart.lines.length ? full(app, answer, () => write(app, body)) : [empty()]));
  const off = cart.on(() => ((answer = null), refresh()));
  show('Follow-up', body, 'wide').closed.then(off);
  refresh();
}

const empty = () =>
  el('p', {
    text: 'Nothing here yet. On a clip: R adds more takes, E an edited prompt, D new takes at the final size.',
  });

function full(app, answer, onWrite) {
  const rows = app.cart.lines.map((line, index) => row(app, line, answer?.lines[index]));
  const faults = (answer?.faults ?? []).map((fault) =>
    el('p', { class: 'fault', text: typeof fault === 'string' ? fault : fault.message }),
  );
  const writeIt = button('Write follow-up', onWrite, { class: 'main write', disabled: !answer || faults.length > 0 });
  return [
    el('ul', { class: 'cart-lines' }, ...rows),
    el('div', { class: 'sum' }, ...sum(answer), ...faults),
    el('p', { class: 'quiet', text: 'This page never spends: it writes a manifest, and you run it.' }),
    el(
      'div',
      { class: 'answers' },
      button('Empty the cart', () => app.cart.clear()),
      writeIt,
    ),
  ];
}

function row(app, line, priced) {
  const name = app.store.get(line.clip)?.name ?? 'a clip that is gone';
  const words = lineWords(line, name, sizeWords(line.size));
  const count = el('input', {
    type: 'number',
    min: '1',
    max: '100',
    value: line.count,
    'aria-label': `Takes: ${words}`,
    on: { change: ({ target }) => app.cart.setCount(line, target.valueAsNumber) },
  });
  return el(
    'li',
    {},
    el('span', { class: 'what', text: words }),
    count,
    el('span', { class: 'usd', text: priced ? price(priced.usd) : '…' }),
    button('×', () => app.cart.remove(line), { 'aria-label': `Remove ${words}`, title: 'Remove' }),
    line.prompt ? el('p', { class: 'quiet prompt', text: line.prompt }) : null,
  );
}

function sum(answer) {
  if (!answer) return [el('p', { text: 'Asking for the price …' })];
  const left = answer.left_usd === null ? 'no budget is set' : `${money(micro(answer.left_usd))} left of the budget`;
  const over = answer.left_usd !== null && micro(answer.usd) > micro(answer.left_usd);
  return [
    el('p', { class: over ? 'total fault' : 'total' }, el('strong', { text: price(answer.usd) }), ` · ${left}`),
    ...(answer.earlier ?? []).map((each) => el('p', { class: 'quiet', text: earlierWords(each) })),
    ...(over ? [el('p', { class: 'fault', text: 'More than is left: the run would stop at its budget.' })] : []),
  ];
}

/** What a follow-up that was written before takes of the budget: `night-2 (written, not run) plans $3.10 of the budget`. */
function earlierWords({ name, usd, begun }) {
  const known = usd === null ? 'an amount that is not known' : money(micro(usd));
  return `${name} (${begun ? 'run' : 'written, not run'}) ${begun ? 'takes' : 'plans'} ${known} of the budget: ${usd === null ? 'it is not subtracted.' : 'it is subtracted.'}`;
}

/** Write it, and show where it is, what its check says, and the command. */
async function write(app, body) {
  body.querySelector('.write').disabled = true;
  try {
    const answer = await app.cart.write();
    if (!answer.written) {
      body
        .querySelector('.sum')
        .append(...answer.faults.map((fault) => el('p', { class: 'fault', text: fault.message ?? fault })));
      return;
    }
    app.cart.clear();
    body.replaceChildren(...written(app, answer.written));
    body.querySelector('.command button').focus();
  } catch (error) {
    app.say(`The follow-up was not written: ${error.message}`, { sticky: true });
    body.querySelector('.write').disabled = false;
  }
}

function written(app, { manifest, plan, command, clips, usd, expected_s: expected }) {
  const facts = [
    ['Manifest', manifest],
    ['Plan', plan],
    ['Checked', 'no faults'],
    ['Makes', plural(clips, 'clip')],
    ['Costs at most', price(usd)],
    ...(expected ? [['Takes about', duration(expected)]] : []),
  ];
  return [
    el('p', {}, el('strong', { text: 'The follow-up is written. Nothing is submitted yet.' })),
    el(
      'dl',
      { class: 'written-facts' },
      ...facts.filter(([, text]) => text).flatMap(([term, text]) => [el('dt', { text: term }), el('dd', { text })]),
    ),
    el('p', { text: 'Run it in a terminal:' }),
    el(
      'p',
      { class: 'command' },
      el('code', { text: command }),
      copyButton(app, 'the command', () => command),
    ),
  ];
}

/** The clips that are meant: the selection, else the focused one. */
const meant = (app) =>
  app
    .targets()
    .map((key) => app.store.get(key))
    .filter(Boolean);

function addTakes(app) {
  for (const clip of meant(app)) app.cart.add({ kind: 'takes', clip: clip.key, count: FIRST_COUNT });
  app.say(`In the cart: ${plural(app.cart.lines.length, 'line')}`, {
    actions: [{ label: 'Open the cart', run: () => openCart(app) }],
  });
}

const MODES = ['grid', 'matrix', 'loupe', 'compare'];

/** @type {import('./keys.js').Entry[]} */
export const entries = [
  {
    keys: ['r'],
    does: `Re-roll: ${FIRST_COUNT} more takes into the cart`,
    group: 'Follow-up',
    modes: MODES,
    icon: '↻',
    run: addTakes,
  },
  {
    keys: ['e'],
    does: 'Edit the prompt, into the cart',
    group: 'Follow-up',
    modes: MODES,
    run: (app) => editPrompt(app, meant(app)[0]),
  },
  {
    keys: ['d'],
    does: 'New takes at the final size, into the cart',
    group: 'Follow-up',
    modes: MODES,
    run: (app) => chooseFinal(app, meant(app)),
  },
  { name: 'cart', keys: ['shift+r'], does: 'Open the cart', group: 'Follow-up', modes: MODES, run: openCart },
];
