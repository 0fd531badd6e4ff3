/** Small helpers for elements. Text goes in by `textContent` only; nothing here, or elsewhere, parses HTML. */

/** The element with an id of index.html. @param {string} id @returns {HTMLElement} */
export const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Make an element. `text`, `class`, `data` (object) and `on` (event → function) are special, `true` and `false` switch
 * an attribute, null and undefined leave it out, and everything else is an attribute.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...(Node|string|null)} children
 * @returns {any}
 */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'text') made.textContent = value;
    else if (name === 'class') made.className = value;
    else if (name === 'data') Object.assign(made.dataset, value);
    else if (name === 'on') for (const [event, run] of Object.entries(value)) made.addEventListener(event, run);
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Set text only if it changed: an unchanged node costs no layout. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set or remove an attribute, only if it changed. */
export function setAttr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/** A text whose parts between backticks are code, as nodes. @param {string} text */
export const coded = (text) => text.split('`').map((part, index) => (index % 2 ? el('code', { text: part }) : part));

/** A button that runs something. Its title is its label as long as no other is given. */
export function button(text, run, props = {}) {
  return el('button', { type: 'button', text, on: { click: run }, ...props });
}

/** A button that copies a text; says so through `app.say`. */
export function copyButton(app, what, text) {
  return button('', () => copyText(app, what, text()), { class: 'copy', title: `Copy ${what}`, 'aria-label': `Copy ${what}` });
}

/** Copy to the clipboard, also where the page has no secure origin (`--host`), and say what was copied. */
export async function copyText(app, what, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = el('textarea', { class: 'offscreen', text });
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
  }
  app.say(`Copied ${what}`);
}

/** Run a function once per frame at most, however often it is called. */
export function framewise(run) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      run();
    });
  };
}
