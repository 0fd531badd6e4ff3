/**
 * One film that is watched closely: plays, plays backwards, and stops on an exact frame. The loupe shows one, compare
 * shows several; both drive it by frames, never by seconds.
 */

import { el } from './dom.js';
import { fpsOf, frameAt, frameCount, middleOf, withinFilm } from './frames.js';

/** @typedef {import('./store.js').Clip} Clip */

export class Film {
  /** The frame that is shown, or that was asked for last. */
  frame = 0;
  /** Resolves when the film can be played. @type {Promise<void>} */
  ready;
  #waiting = null;
  #seeking = false;
  /** Those who wait until the frame that was asked for is shown. @type {(() => void)[]} */
  #settling = [];
  #gone = false;

  /**
   * @param {any} app
   * @param {Clip} clip with a file
   * @param {{loop?: boolean, onFrame?: (frame: number) => void, onEnd?: () => void}} [options]
   */
  constructor(app, clip, { loop = false, onFrame = () => {}, onEnd = () => {} } = {}) {
    this.clip = clip;
    this.version = clip.v;
    this.fps = fpsOf(clip);
    this.onFrame = onFrame;
    this.onEnd = onEnd;
    // `playsinline muted`: a phone plays nothing else by itself.
    this.video = el('video', {
      src: app.api.fileUrl(clip),
      poster: clip.check?.poster ? app.api.posterUrl(clip) : null,
      playsinline: true,
      muted: true,
      preload: 'auto',
      loop,
      tabindex: '-1',
    });
    this.video.muted = true;
    this.ready = new Promise((ready) => this.video.addEventListener('loadeddata', () => ready(), { once: true }));
    this.video.addEventListener('ended', () => this.onEnd());
    this.video.addEventListener('seeked', () => this.#seeked());
    this.#watch();
  }

  /** How many frames it has: by its own length once that is known, else by its facts. */
  get count() {
    const own = this.video.duration;
    return frameCount(Number.isFinite(own) ? own : (this.clip.got?.duration_s ?? this.clip.duration ?? 0), this.fps);
  }

  get playing() {
    return !this.video.paused;
  }

  /** Play on at a speed. A film that the browser refuses to start stays where it is. */
  async play(rate = 1) {
    this.#waiting = null;
    if (!this.video.loop && this.frame >= this.count - 1) this.video.currentTime = 0;
    this.video.playbackRate = rate;
    try {
      await this.video.play();
    } catch (error) {
      if (error.name === 'NotAllowedError') return this.#playMuted();
    }
  }

  /** Stop, on a whole frame. */
  pause() {
    if (!this.playing) return;
    this.video.pause();
    this.seek(frameAt(this.video.currentTime, this.fps));
  }

  /** Show a frame. Of seeks that come faster than the film can follow only the last is done. */
  seek(frame) {
    this.frame = withinFilm(frame, this.count);
    this.onFrame(this.frame);
    this.#waiting = this.frame;
    if (!this.#seeking) this.#seekNext();
  }

  /** True while a frame that was asked for is not shown yet. */
  get seeking() {
    return this.#seeking || this.#waiting !== null;
  }

  /** Wait until it is loaded and shows the frame that was asked for. */
  async settled() {
    await this.ready;
    if (this.seeking) await new Promise((settled) => this.#settling.push(() => settled(undefined)));
  }

  /** Give the decoder back: a film that is only removed from the page keeps it. */
  close() {
    this.#gone = true;
    this.#settling.splice(0).forEach((settled) => settled());
    this.video.pause();
    this.video.removeAttribute('src');
    this.video.load();
    this.video.remove();
  }

  #playMuted() {
    this.video.muted = true;
    this.video.play().catch(() => {});
  }

  #seekNext() {
    if (this.#waiting === null || this.#gone) return;
    if (this.video.readyState === 0) {
      this.video.addEventListener('loadedmetadata', () => this.#seekNext(), { once: true });
      return;
    }
    this.#seeking = true;
    this.video.currentTime = middleOf(this.#waiting, this.fps);
    this.#waiting = null;
  }

  #seeked() {
    this.#seeking = false;
    this.#seekNext();
    if (!this.seeking) this.#settling.splice(0).forEach((settled) => settled());
  }

  /** Follow the frames as they are shown; while it stands still, what was asked for last is the truth. */
  #watch() {
    if (this.#gone || !this.video.requestVideoFrameCallback) return;
    this.video.requestVideoFrameCallback((_now, { mediaTime }) => {
      if (this.playing) {
        this.frame = withinFilm(frameAt(mediaTime, this.fps), this.count);
        this.onFrame(this.frame);
      }
      this.#watch();
    });
  }
}
