/** One card of the grid: a poster, its marks, one line of words; a film over it while it plays. Cards are used again. */
import { el, setAttr, setText } from './dom.js';
import { STATES, aspect, flagBadge, flagWords, flagsOf, micro, money, plural } from './words.js';

/** A clip on one line: its name and seed; where it has no film, why. In a group of its prompt: its cell and take. */
export function caption(clip, grouped) {
  const name = grouped ? [...cellOf(clip), `take ${clip.take}`].join(' · ') : clip.name;
  const more = clip.state === 'done' ? (clip.seed === null ? '' : `seed ${clip.seed}`) : clip.state === 'pending' ? '' : clip.reason;
  return [name, more].filter(Boolean).join(' · ');
}

/** The values of a clip's cell, in the order of the axes. @returns {string[]} */
export const cellOf = (clip) => Object.values(clip.cell ?? {}).map(String);

/** A clip in words, for those who hear the page. */
export function spoken(clip) {
  const { pick, stars, label, reason } = clip.choice;
  const flags = flagsOf(clip);
  return [
    clip.name,
    clip.state === 'done' ? { 1: 'picked', '-1': `rejected${reason ? `: ${reason}` : ''}`, 0: 'undecided' }[pick] : STATES[clip.state],
    stars ? plural(stars, 'star') : '',
    label,
    flags.length ? `flagged: ${flags.map(flagWords).join(', ')}` : '',
  ].filter(Boolean).join(', ');
}

/** The corner of a card: take, decision, stars, flags in words. */
function signs(clip) {
  const { pick, stars, note } = clip.choice;
  const flags = flagsOf(clip);
  return [clip.take, { 1: '✓', '-1': '✗', 0: '' }[pick], '★'.repeat(stars), note ? '✎' : '', flags.length ? `⚑ ${flags.map((flag) => flagBadge(flag, clip)).join(', ')}` : '']
    .filter(Boolean).join(' ');
}

export class Card {
  constructor() {
    this.img = el('img', { alt: '', draggable: 'false' });
    this.marks = el('span', { class: 'marks', 'aria-hidden': 'true' });
    this.caption = el('span', { class: 'caption', 'aria-hidden': 'true' });
    this.node = el('div', { class: 'card', role: 'gridcell', tabindex: '-1' }, this.img, this.marks, this.caption);
    this.node.card = this;
    this.key = '';
    /** @type {HTMLVideoElement|null} */
    this.video = null;
    /** @type {HTMLElement|null} the strip of frames, while the mouse scrubs */
    this.strip = null;
  }

  /** Show a clip. @param {any} clip @param {{focus: boolean, selected: boolean, grouped: boolean, index: number, count: number, column: number}} place */
  show(clip, { focus, selected, grouped, index, count, column }) {
    const { node } = this;
    this.key = node.dataset.key = this.img.dataset.key = clip.key;
    node.dataset.pick = clip.choice.pick;
    node.dataset.state = clip.state;
    node.dataset.label = clip.choice.label;
    node.dataset.wanted = clip.wanted;
    node.classList.toggle('focused', focus);
    node.tabIndex = focus ? 0 : -1;
    setAttr(node, 'aria-selected', String(selected));
    setAttr(node, 'aria-label', spoken(clip));
    setAttr(node, 'aria-posinset', index + 1);
    setAttr(node, 'aria-setsize', count);
    setAttr(node, 'aria-colindex', column + 1);
    setText(this.marks, signs(clip));
    setText(this.caption, caption(clip, grouped));
    this.caption.title = caption(clip, false);
    node.dataset.word = clip.state === 'done' ? '' : STATES[clip.state] ?? clip.state;
    this.caption.dataset.cost = clip.cost_usd === null ? '' : money(micro(clip.cost_usd));
  }

  /** Put the film over the poster; it shows as soon as it has a frame. */
  mount(video) {
    this.video = video;
    video.className = 'film';
    video.onplaying = () => video.classList.add('on');
    this.img.after(video);
  }

  /** Take the film off. */
  unmount() {
    const { video } = this;
    this.video = null;
    if (video) {
      video.onplaying = null;
      video.remove();
    }
    return video;
  }

  /** Show the frame of the strip at a share of the width. */
  scrub(url, share, clip) {
    this.strip ??= this.img.parentNode.insertBefore(el('div', { class: 'strip' }), this.marks);
    const { style } = this.strip;
    style.aspectRatio = String(aspect(clip));
    style.backgroundImage = `url("${url}")`;
    style.backgroundPositionX = `${(Math.min(7, Math.floor(share * 8)) / 7) * 100}%`;
  }

  /** Take the strip off. */
  endScrub() {
    this.strip?.remove();
    this.strip = null;
  }
}
