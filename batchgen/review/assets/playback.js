/** Which cards play: the one under the mouse, the focused one, and as many others in view as the machine can carry. */
import { el } from './dom.js';

const HOVER_MS = 250;
/** How long the mouse must rest before the film plays on after a scrub. */
const REST_MS = 400;

export class Playback {
  #app;
  #grid;
  #hovered = null;
  #timer = 0;
  #videos = [];
  /** A card that plays although autoplay is off, or is stopped although it is on (Space). */
  #asked = { key: null, play: false };

  constructor(app, grid) {
    this.#app = app;
    this.#grid = grid;
  }

  /** Listen to the mouse on the grid. */
  listen(node) {
    node.addEventListener('pointerover', (event) => event.pointerType === 'mouse' && this.#over(event.target.closest('.card')?.card));
    node.addEventListener('pointerleave', () => this.#over(null));
    node.addEventListener('pointermove', (event) => event.pointerType === 'mouse' && this.#move(event));
  }

  /** Play or stop the focused card (Space). */
  toggle() {
    const key = this.#app.focus;
    const playing = Boolean(this.#grid.cards.get(key)?.video);
    this.#asked = { key, play: !playing };
    this.settle();
  }

  /** Choose again which films play. Called when scrolling has ended, and when focus or settings change. */
  settle() {
    const open = this.#app.mode.name === 'grid' && !document.hidden;
    const wanted = open ? this.#wanted() : [];
    const keep = new Set(wanted.slice(0, this.#app.player.cap));
    for (const card of this.#grid.cards.values()) if (card.video && !keep.has(card)) this.drop(card);
    for (const card of keep) if (!card.video) this.#play(card);
  }

  /** Take a card's film off. */
  drop(card) {
    const video = card.unmount();
    if (!video) return;
    this.#app.player.release(video);
    video.classList.remove('on');
    this.#videos.push(video);
  }

  #wanted() {
    const { autoplay } = this.#app.settings;
    const seen = this.#grid.visible().filter((card) => this.#app.store.get(card.key)?.file);
    const focused = seen.find((card) => card.key === this.#app.focus);
    const asked = seen.find((card) => card.key === this.#asked.key && this.#asked.play);
    const first = [asked, autoplay ? this.#hovered : null, autoplay ? focused : null];
    const order = [...new Set([...first, ...(autoplay && !this.#grid.posters.busy ? seen : [])])].filter((card) => card && seen.includes(card));
    return order.filter((card) => card.key !== this.#asked.key || this.#asked.play);
  }

  #play(card) {
    const video = this.#videos.pop() ?? el('video', { preload: 'none', tabindex: '-1', 'aria-hidden': 'true' });
    card.mount(video);
    const clip = this.#app.store.get(card.key);
    if (!this.#app.player.attach(video, clip, { evicted: () => this.drop(card) })) this.drop(card);
  }

  #over(card) {
    if (card === this.#hovered) return;
    clearTimeout(this.#timer);
    this.#hovered?.endScrub();
    this.#hovered = card ?? null;
    if (card) this.#timer = setTimeout(() => this.settle(), HOVER_MS);
  }

  /** Show the frame at the mouse: of the strip, or of the film itself where there is none. */
  #move(event) {
    const card = this.#hovered;
    const clip = card && this.#app.store.get(card.key);
    if (!clip?.file || !event.movementX) return;
    const box = card.node.getBoundingClientRect();
    const share = Math.min(0.999, Math.max(0, (event.clientX - box.left) / box.width));
    if (this.#app.store.batch.media && clip.check?.poster) card.scrub(this.#app.api.stripUrl(clip), share, clip);
    else if (card.video?.duration) {
      card.video.pause();
      if (!card.video.seeking) card.video.currentTime = share * card.video.duration;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#rest(card), REST_MS);
  }

  #rest(card) {
    card.endScrub();
    card.video?.play().catch(() => {});
    this.settle();
  }
}
