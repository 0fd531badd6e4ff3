/** What the page says and asks: toasts that are read out, questions, and a line of text. */
import { $, button, coded, el } from './dom.js';

const SHOWN_MS = 7000;
const MOST = 4;

/**
 * Show a message that is also read out.
 * @param {string} text
 * @param {{action?: {label: string, run: Function}, actions?: {label: string, run: Function}[], sticky?: boolean}} [how]
 *   sticky: it stays until it is answered
 */
export function say(text, { action, actions = action ? [action] : [], sticky = false } = {}) {
  const toast = el('div', { class: 'toast' }, el('span', { text }));
  const close = () => toast.remove();
  for (const { label, run } of actions) {
    toast.append(button(label, () => {
      close();
      run();
    }));
  }
  toast.append(button('×', close, { class: 'close', 'aria-label': 'Close this message' }));
  const toasts = $('toasts');
  toasts.append(toast);
  const passing = [...toasts.children].filter((each) => !each.classList.contains('sticky'));
  if (sticky) toast.classList.add('sticky');
  else passing.slice(0, -MOST).forEach((each) => each.remove());
  const expire = () => (toast.matches(':hover, :focus-within') ? setTimeout(expire, 1000) : close());
  if (!sticky) setTimeout(expire, SHOWN_MS + 3000 * actions.length);
}

/** Show a dialog until it is closed. @returns {Promise<string>} what it was closed with: '' by Esc */
function open(dialog) {
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.showModal();
  dialog.scrollTop = 0;
  return new Promise((done) => dialog.addEventListener('close', () => {
    dialog.remove();
    if (before instanceof HTMLElement) before.focus({ preventScroll: true });
    done(dialog.returnValue);
  }, { once: true }));
}

/** Ask a question. @returns {Promise<boolean>} true for yes */
export async function ask({ title, lines = [], yes, no = 'Cancel' }) {
  const dialog = el('dialog', { 'aria-labelledby': 'question' }, el('h2', { id: 'question', text: title }));
  dialog.append(...lines.map((text) => el('p', {}, ...coded(text))));
  const refuse = button(no, () => dialog.close(''));
  dialog.append(el('div', { class: 'answers' }, refuse, button(yes, () => dialog.close('yes'), { class: 'main' })));
  return (await open(dialog)) === 'yes';
}

/**
 * Ask for a text; Enter saves, Shift-Enter begins a new line where there are several.
 * @returns {Promise<string|null>} null when it was called off
 */
export async function askText({ title, value, hint, lines = 1 }) {
  const field = el('textarea', { rows: lines, maxlength: 4000, 'aria-label': title });
  field.value = value;
  const dialog = el('dialog', { class: 'text' }, el('h2', { text: title }), field, el('p', { class: 'hint', text: hint }));
  const save = () => dialog.close('yes');
  dialog.append(el('div', { class: 'answers' }, button('Cancel', () => dialog.close('')), button('Save', save, { class: 'main' })));
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || (event.shiftKey && lines > 1) || event.isComposing) return;
    event.preventDefault();
    save();
  });
  const answered = open(dialog);
  field.select();
  return (await answered) === 'yes' ? field.value : null;
}

/**
 * Show an element in a dialog, with a button that closes it.
 * @param {string} title @param {HTMLElement} content @param {string} [classes]
 * @param {HTMLElement[]} [buttons] others, in the same line; the one that closes then leads to nothing, and says so
 * @returns {{dialog: HTMLDialogElement, closed: Promise<string>, offer: (...buttons: HTMLElement[]) => void}} offer: puts
 *   other buttons next to the one that closes
 */
export function show(title, content, classes = '', buttons = []) {
  const dialog = el('dialog', { class: classes, 'aria-label': title }, el('h2', { text: title }), content);
  const close = button(buttons.length ? 'Cancel' : 'Close', () => dialog.close(''), buttons.length ? {} : { class: 'main', autofocus: true });
  const answers = el('div', { class: 'answers' }, close, ...buttons);
  dialog.append(answers);
  return { dialog, closed: open(dialog), offer: (...more) => answers.replaceChildren(close, ...more) };
}
