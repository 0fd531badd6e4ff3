/** Pieces that the full-page views share: their bar, a clip's verdict, buttons of the key table, and a picture of a clip. */

import { button, el, setText } from './dom.js';
import { tooltip } from './keys.js';

/** @typedef {import('./store.js').Clip} Clip */

/** Decisions whose button has a word, not only a sign. */
const WORDED = new Set(['p', 'x']);

/** The line at the top of a view: the way back, its title, and what else it needs. */
export function viewBar(app, title, ...more) {
  const back = button('‹ Back', () => app.pop(), { class: 'back', title: 'Back to the same card (Esc)' });
  return el('header', { class: 'view-bar' }, back, el('h2', { text: title }), ...more);
}

/** A button that does what a row of the key table does. @param {any} app @param {import('./keys.js').Entry} entry */
export function entryButton(app, entry, text = entry.icon ?? entry.does) {
  return button(text, (event) => entry.run(app, event), { title: tooltip(entry), 'aria-label': entry.does });
}

/** The buttons of the decisions that a view allows, as the key table has them. */
export function decideButtons(app, mode) {
  const rows = app.keys.of(mode).filter((entry) => entry.group === 'Decide' && entry.icon);
  return el(
    'div',
    { class: 'decide', role: 'group', 'aria-label': 'Decide' },
    ...rows.map((entry) =>
      entryButton(app, entry, WORDED.has(entry.keys[0]) ? `${entry.icon} ${entry.does}` : entry.icon),
    ),
  );
}

/** What was decided, in signs: `✓ ★★★`. @param {Clip} clip */
export function verdict({ choice }) {
  return [{ 1: '✓', '-1': '✗' }[choice.pick] ?? '', '★'.repeat(choice.stars)].filter(Boolean).join(' ');
}

/** What was decided, in words. @param {Clip} clip */
export function verdictWords({ choice }) {
  const pick = { 1: 'picked', '-1': 'rejected', 0: 'undecided' }[choice.pick];
  return choice.stars ? `${pick}, ${choice.stars} of 5 stars` : pick;
}

/**
 * A still picture of a clip, by the grid's own rules: its poster, else its first frame.
 * @param {Clip} clip @param {IntersectionObserver} [watch] loads it only when it comes into view (see `loadSeen`)
 */
export function still(app, clip, watch) {
  const img = el('img', { alt: '', draggable: 'false', data: { key: clip.key } });
  if (!clip.file || app.grid.posters.showKnown(img, clip)) return img;
  if (watch) watch.observe(img);
  else app.grid.posters.load(img, clip);
  return img;
}

/** What loads pictures as they come into view of a scrolled element, and a little before. */
export function loadSeen(app, root) {
  const watch = new IntersectionObserver(
    (seen) => {
      for (const { target, isIntersecting } of seen) {
        const clip = app.store.get(/** @type {HTMLElement} */ (target).dataset.key);
        if (!isIntersecting || !clip) continue;
        watch.unobserve(target);
        app.grid.posters.load(target, clip);
      }
    },
    { root, rootMargin: '200px' },
  );
  return watch;
}

/** A small picture of a clip with its take and verdict, to go to it. @param {Clip} clip @param {() => void} run */
export function thumb(app, clip, run) {
  const sign = el('span', { class: 'sign', 'aria-hidden': 'true' });
  const node = el(
    'button',
    { type: 'button', class: 'thumb', data: { key: clip.key }, on: { click: run } },
    still(app, clip),
    sign,
  );
  refreshThumb(node, clip);
  return node;
}

/** Bring a small picture's sign up to date. */
export function refreshThumb(node, clip) {
  node.dataset.pick = clip.choice.pick;
  node.setAttribute('aria-label', `Take ${clip.take}, ${verdictWords(clip)}`);
  setText(node.querySelector('.sign'), [clip.take, verdict(clip)].filter(Boolean).join(' '));
}
