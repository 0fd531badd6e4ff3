/**
 * The film that is shown and the one that will be next: going on starts at once, because the next is loaded already.
 * It is a deck for the transport: without a film it has one frame, and does nothing.
 */

import { Film } from './film.js';

export class FilmPair {
  /** The one that is shown. @type {Film|null} */
  now = null;
  /** @type {Film|null} */
  #next = null;

  /** @param {any} app @param {{loop?: boolean, onFrame?: (frame: number) => void, onEnd?: () => void}} options of the shown one */
  constructor(app, options) {
    this.app = app;
    this.options = options;
  }

  /** Whether the shown film is heard. */
  sound = true;

  get frame() {
    return this.now?.frame ?? 0;
  }

  get count() {
    return this.now?.count ?? 1;
  }

  get fps() {
    return this.now?.fps ?? 24;
  }

  get playing() {
    return this.now?.playing ?? false;
  }

  get seeking() {
    return this.now?.seeking ?? false;
  }

  async play(rate) {
    await this.now?.play(rate);
  }

  pause() {
    this.now?.pause();
  }

  seek(frame) {
    this.now?.seek(frame);
  }

  mute() {
    this.sound = !this.sound;
    if (this.now) this.now.video.muted = !this.sound;
  }

  /** Show a clip's film. @param {any} clip a clip; without a file there is none @returns {Film|null} */
  show(clip) {
    this.now?.close();
    this.now = this.#take(clip);
    if (this.now) this.now.video.muted = !this.sound;
    return this.now;
  }

  /** Load what will probably be shown next. @param {any} clip */
  prepare(clip) {
    if (!clip?.file || same(this.now, clip) || same(this.#next, clip)) return;
    this.#next?.close();
    this.#next = this.#load(clip);
  }

  close() {
    this.now?.close();
    this.#next?.close();
    this.now = this.#next = null;
  }

  #take(clip) {
    if (!clip?.file) return null;
    const film = same(this.#next, clip) ? this.#next : this.#load(clip);
    if (film === this.#next) this.#next = null;
    return film;
  }

  /** A film that waits reports nothing: only the shown one does. */
  #load(clip) {
    const film = new Film(this.app, clip, {
      ...this.options,
      onFrame: (frame) => film === this.now && this.options.onFrame?.(frame),
      onEnd: () => film === this.now && this.options.onEnd?.(),
    });
    return film;
  }
}

const same = (film, clip) => film?.clip.key === clip.key && film.version === clip.v;
