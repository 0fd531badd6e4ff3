/**
 * The pool of decoders. A browser on a small machine plays few films at once, and drops frames of all when there are
 * more: the cap grows while fewer than 3 % are dropped, and shrinks when more are.
 */

const FIRST_CAP = 6;
const LOWEST = 2;
const HIGHEST = 24;
const MEASURE_MS = 2000;
const MOST_DROPPED = 0.03;
/** Fewer frames than this say nothing. */
const FEWEST_FRAMES = 30;

export class Player {
  #api;
  /** @type {Map<HTMLVideoElement, {forced: boolean, evicted?: () => void, total: number, dropped: number}>} */
  #playing = new Map();

  constructor(api) {
    this.#api = api;
    /** Films that play by themselves at once, at most. */
    this.cap = FIRST_CAP;
    setInterval(() => this.#measure(), MEASURE_MS);
  }

  /** How many play now. */
  get playing() {
    return this.#playing.size;
  }

  /**
   * Give a clip's film a decoder and play it, looped and muted.
   * @param {HTMLVideoElement} video
   * @param {any} clip
   * @param {{force?: boolean, evicted?: () => void}} [how] force: play even if one that is not forced must go for it;
   *   evicted: is called when it goes
   * @returns {boolean} false when all decoders are in use
   */
  attach(video, clip, { force = false, evicted } = {}) {
    if (!this.#playing.has(video) && this.#playing.size >= this.cap && !(force && this.#makeRoom())) {
      if (!force) return false;
    }
    this.#playing.set(video, { forced: force, evicted, total: 0, dropped: 0 });
    video.loop = video.muted = video.playsInline = true;
    video.preload = 'auto';
    const url = this.#api.fileUrl(clip);
    if (video.getAttribute('src') !== url) video.src = url;
    video.play().catch(() => {}); // released before it began, or the browser wants a click first: the poster stays
    return true;
  }

  /** Take its decoder away. A removed element keeps it, unless its source is unloaded. */
  release(video) {
    this.#playing.delete(video);
    if (!video.hasAttribute('src')) return;
    video.pause();
    video.removeAttribute('src');
    video.load();
  }

  #makeRoom() {
    for (const [video, { forced, evicted }] of this.#playing) {
      if (forced) continue;
      this.release(video);
      evicted?.();
      return true;
    }
    return false;
  }

  #measure() {
    if (document.hidden) return;
    let total = 0;
    let dropped = 0;
    for (const [video, seen] of this.#playing) {
      const now = video.getVideoPlaybackQuality();
      total += Math.max(0, now.totalVideoFrames - seen.total);
      dropped += Math.max(0, now.droppedVideoFrames - seen.dropped);
      seen.total = now.totalVideoFrames;
      seen.dropped = now.droppedVideoFrames;
    }
    this.cap = nextCap(this.cap, this.#playing.size, total, dropped);
  }
}

/** The cap after a measurement: lower where frames were dropped, higher where all that may play did so without. Pure. */
export function nextCap(cap, playing, total, dropped) {
  if (total < FEWEST_FRAMES) return cap;
  if (dropped / total >= MOST_DROPPED) return Math.max(LOWEST, Math.min(cap, playing) - 1);
  return playing >= cap ? Math.min(HIGHEST, cap + 1) : cap;
}
