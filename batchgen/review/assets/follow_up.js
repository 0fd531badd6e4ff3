/** The two dialogs that put something into the cart: an edited prompt, and new takes at the final size. */

import { FIRST_COUNT } from './cart.js';
import { show } from './dialogs.js';
import { button, el } from './dom.js';
import { draftSum } from './draft_sum.js';
import { micro, money, plural, sizeWords } from './words.js';

const count = () => el('input', { type: 'number', min: '1', max: '100', value: FIRST_COUNT, name: 'count' });

/** Edit a clip's prompt for new takes. @param {any} app @param {any} clip */
export function editPrompt(app, clip) {
  if (!clip) return;
  const field = el('textarea', { name: 'prompt', rows: '8', maxlength: '20000', 'aria-label': 'Prompt' });
  field.value = clip.prompt;
  const takes = count();
  const add = () => {
    const prompt = field.value.trim();
    if (!prompt || prompt === clip.prompt)
      return void app.say('The prompt is not changed: use R for more takes of the same words');
    app.cart.add({ kind: 'edit', clip: clip.key, prompt, count: takes.valueAsNumber || 1 });
    dialog.close();
    app.say(`${clip.name}: edited prompt in the cart`);
  };
  const body = el('div', { class: 'edit-prompt' }, field, el('label', {}, 'Takes ', takes));
  body.addEventListener('keydown', (event) => event.key === 'Enter' && (event.ctrlKey || event.metaKey) && add());
  const { dialog } = show(`Edit the prompt of ${clip.name}`, body, '', [
    button('Add to the cart (Ctrl-Enter)', add, { class: 'main' }),
  ]);
  field.focus();
}

/** Ask for a size, and say what that means and costs. @param {any} app @param {any[]} clips */
export async function chooseFinal(app, clips) {
  if (!clips.length) return;
  const choice = el('select', { name: 'size', disabled: true });
  const takes = count();
  const costs = el('div', { class: 'draft-sum', role: 'status' }, el('p', { text: 'Asking for sizes and prices …' }));
  const lines = () =>
    clips.map((clip) => ({ kind: 'final', clip: clip.key, size: choice.value, count: takes.valueAsNumber || 1 }));
  const name = clips.length === 1 ? clips[0].name : plural(clips.length, 'clip');
  const add = button(
    'Add to the cart',
    () => {
      for (const line of lines()) app.cart.add(line);
      dialog.close();
      app.say(`In the cart: ${name} at ${sizeWords(choice.value)}`);
    },
    { class: 'main', disabled: true },
  );
  const body = el(
    'div',
    { class: 'final' },
    el('p', {
      class: 'warning',
      text: 'Another size is another film: the seed does not carry over. You get new takes of the same words.',
    }),
    el('p', { class: 'fields' }, el('label', {}, 'Size ', choice), el('label', {}, 'Takes of each ', takes)),
    costs,
    el('p', {
      class: 'quiet',
      text: `Or keep ${sizeWords(clips[0].size)} and enlarge the picks in your editor, or make the next batch at the larger size from the start.`,
    }),
  );
  const { dialog } = show(`Final size: ${name}`, body, '', [add]);
  const refresh = () => showCosts(app, costs, lines());
  choice.addEventListener('change', refresh);
  takes.addEventListener('input', refresh);
  if (!(await offerSizes(app, clips[0], choice, costs))) return;
  choice.disabled = add.disabled = false;
  refresh();
}

/** Fill in the sizes that the model has, the smallest first; the largest is chosen. @returns {Promise<boolean>} false when there is no other */
async function offerSizes(app, clip, choice, costs) {
  let sizes;
  try {
    ({ sizes } = await app.cart.price([{ kind: 'takes', clip: clip.key, count: 1 }]));
  } catch (error) {
    costs.replaceChildren(el('p', { class: 'fault', text: `No sizes: ${error.message}` }));
    return false;
  }
  const others = sizes.filter((size) => size !== clip.size);
  if (!others.length) costs.replaceChildren(el('p', { text: 'This model has no other size.' }));
  choice.append(...others.map((size) => el('option', { value: size, text: sizeWords(size) })));
  choice.value = others.at(-1) ?? '';
  return others.length > 0;
}

/** Drafts and finals together, against all at the final size from the start: what drafting really saves. */
async function showCosts(app, node, lines) {
  const asked = (node.dataset.asked = JSON.stringify(lines));
  node.replaceChildren(el('p', { text: 'Asking for the price …' }));
  let usd;
  try {
    ({ usd } = await app.cart.price(lines));
  } catch (error) {
    return void node.replaceChildren(el('p', { class: 'fault', text: `No price: ${error.message}` }));
  }
  if (node.dataset.asked !== asked) return;
  if (usd === null) return void node.replaceChildren(el('p', { text: 'The price of this size is not known.' }));
  const finals = lines.reduce((sum, line) => sum + line.count, 0);
  const made = [...app.store.clips.values()].filter(({ file }) => file).length;
  const spent = micro(app.store.batch.spent_usd);
  const { together, straight, worthUpTo, finals: cost } = draftSum({ spent, made, finals, price: micro(usd) / finals });
  node.replaceChildren(
    el('p', {}, el('strong', { text: `${plural(finals, 'new take')}: ${money(cost)}` })),
    el('p', {
      text: `With the ${plural(made, 'draft')} (${money(spent)}) that is ${money(together)}; all ${made} at this size from the start: ${money(straight)}.`,
    }),
    el('p', {
      text:
        worthUpTo >= finals
          ? `Drafts cost less up to ${plural(worthUpTo, 'final take')}.`
          : 'With so many final takes the drafts saved nothing.',
    }),
  );
}
