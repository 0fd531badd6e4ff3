/**
 * The key table. The help, the tooltips and most buttons are made from it.
 *
 * A key is written as `p`, `Enter`, `ArrowLeft`, `Space`, `?`, `ctrl+z`, `ctrl+shift+z`, `shift+c`. Ctrl is Cmd on a Mac.
 * Shift is written for letters and named keys only: `?` is `?` wherever a keyboard has it.
 *
 * @typedef {{keys: string[], does: string, group: string, modes: string[], icon?: string, name?: string, series?: string,
 *   run: (app: any, event?: KeyboardEvent) => void}} Entry
 * `icon`: the sign of its button; `name`: by which another part asks for it; `series`: in the help it
 * shares a line with others of that name; `modes`: names of views, such as `grid`, `loupe`, `compare`.
 */

/** Name a pressed key as the table writes it. */
export function nameOf(event) {
  const key = event.key === ' ' ? 'Space' : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const named = key.length > 1 || key.toLowerCase() !== key.toUpperCase();
  return [event.ctrlKey || event.metaKey ? 'ctrl' : '', event.altKey ? 'alt' : '', event.shiftKey && named ? 'shift' : '', key]
    .filter(Boolean).join('+');
}

const SIGNS = { ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', Escape: 'Esc', PageUp: 'PgUp', PageDown: 'PgDn' };

/** A key as people read it: `Ctrl-Z`. */
export const keyWords = (key) => key.split('+').map((part) => SIGNS[part] ?? part[0].toUpperCase() + part.slice(1)).join('-');

/** What an entry does, with its keys: a tooltip. */
export const tooltip = (entry) => `${entry.does} (${entry.keys.map(keyWords).join(', ')})`;

/** True while the reader types. */
export function typing(target) {
  return target instanceof HTMLElement && (target.isContentEditable || ['TEXTAREA', 'SELECT'].includes(target.tagName)
    || (target.tagName === 'INPUT' && !['checkbox', 'radio', 'button'].includes(target.type)));
}

/** Finds and runs the entry of each pressed key: of the open view first, then of the whole table. */
export class Keys {
  #app;
  /** What has the digits for the moment: rows, and what ends it. @type {{entries: Entry[], close: () => void}|null} */
  #chooser = null;

  /** @param {any} app @param {Entry[]} entries */
  constructor(app, entries) {
    this.#app = app;
    /** Caps Lock is on: it turns auto-advance on, as in Lightroom. */
    this.capsLock = false;
    this.entries = entries;
    document.addEventListener('keydown', (event) => this.#press(event));
  }

  /** Entries that count in a view. */
  of(mode) {
    return this.entries.filter((entry) => entry.modes.includes(mode) || entry.modes.includes('*'));
  }

  /** Give some rows the first word until another key is pressed. */
  choose(entries, close) {
    this.#chooser?.close();
    this.#chooser = { entries, close };
  }

  /** End it. */
  endChooser() {
    const chooser = this.#chooser;
    this.#chooser = null;
    chooser?.close();
  }

  #press(event) {
    if (event.defaultPrevented || event.isComposing || typing(event.target) || document.querySelector('dialog[open]')) return;
    this.capsLock = event.getModifierState('CapsLock');
    const name = nameOf(event);
    if (['Control', 'Shift', 'Alt', 'Meta'].some((modifier) => name.endsWith(modifier))) return;
    if (name.length === 1 && !this.#app.settings.letters) return;
    // A focused button keeps what presses it.
    if (['Enter', 'Space'].includes(name) && event.target.closest?.('button, a, input, summary')) return;
    const entry = this.#find(name);
    if (!entry) return;
    event.preventDefault();
    entry.run(this.#app, event);
  }

  #find(name) {
    const has = (entry) => entry.keys.includes(name);
    const reason = this.#chooser?.entries.find(has);
    if (this.#chooser && !reason) this.endChooser();
    return reason ?? this.#app.mode.keys.find(has) ?? this.of(this.#app.mode.name).find(has);
  }
}
