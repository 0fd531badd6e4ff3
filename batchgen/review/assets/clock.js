/**
 * Several films on one clock. They start together and are then left alone: nudging their speeds makes four of them
 * worse, not better. One that falls more than two frames behind is sent after the others once; at each turn all begin
 * together again, and on stop and step all show the same frame.
 */

/** Frames by which a film may be off. */
const MAY_BE_OFF = 2;

/** How long a film that was sent after the others is left alone, in milliseconds: a seek takes its time. */
const LEFT_ALONE_MS = 1000;

/** Which films are too far from the first: their indexes. @param {number[]} times in seconds @param {number} fps */
export function offBy(times, fps) {
  return times.flatMap((time, index) => (Math.abs(time - times[0]) * fps > MAY_BE_OFF + 0.01 ? [index] : []));
}

export class Clock {
  /** @type {import('./film.js').Film[]} */
  films = [];
  /** The speed of play; 0 while it stands still. */
  #rate = 0;
  #turn = 0;
  /** @type {WeakMap<any, number>} film → when it was sent after the others */
  #corrected = new WeakMap();

  /** @param {{onFrame?: (frame: number) => void, onMute?: () => void}} [how] onMute: which film is heard is the view's to say */
  constructor({ onFrame = () => {}, onMute = () => {} } = {}) {
    this.onFrame = onFrame;
    this.onMute = onMute;
  }

  /** Drive these films from now on. @param {import('./film.js').Film[]} films */
  drive(films) {
    for (const film of this.films) film.onFrame = film.onEnd = () => {};
    this.films = films;
    const { master } = this;
    if (!master) return;
    master.onFrame = (frame) => this.#tick(frame);
    master.onEnd = () => this.#rate && this.#together(0, this.#rate);
  }

  /** The longest film: when it ends, all begin again. */
  get master() {
    return this.films.reduce((longest, film) => (!longest || film.count > longest.count ? film : longest), null);
  }

  get frame() {
    return this.master?.frame ?? 0;
  }

  get count() {
    return this.master?.count ?? 1;
  }

  get fps() {
    return this.master?.fps ?? 24;
  }

  get playing() {
    return this.#rate !== 0;
  }

  get seeking() {
    return this.films.some((film) => film.seeking);
  }

  play(rate = 1) {
    if (this.playing) {
      this.#rate = rate;
      for (const { video } of this.films) video.playbackRate = rate;
      return Promise.resolve();
    }
    return this.#together(this.frame >= this.count - 1 ? 0 : this.frame, rate);
  }

  pause() {
    if (!this.playing) return;
    this.seek(this.frame);
  }

  /** All stop on this frame; a shorter film on its last one. */
  seek(frame) {
    this.#rate = 0;
    this.#turn += 1;
    for (const film of this.films) {
      film.video.pause();
      film.seek(frame);
    }
  }

  mute() {
    this.onMute();
  }

  /** Wait until all show the frame that was asked for. */
  async settled() {
    await Promise.all(this.films.map((film) => film.settled()));
  }

  /** Begin together at a frame, as soon as all of them can. */
  async #together(frame, rate) {
    this.seek(frame);
    const turn = this.#turn;
    this.#rate = rate;
    await this.settled();
    if (turn !== this.#turn) return;
    // A shorter film that is at its end waits there for the others.
    await Promise.all(
      this.films.filter((film) => film.frame < film.count - 1 || film.count === 1).map((film) => film.play(rate)),
    );
  }

  #tick(frame) {
    this.onFrame(frame);
    if (!this.#rate) return;
    const { master } = this;
    const running = [master, ...this.films.filter((film) => film !== master && film.playing && !film.seeking)];
    const now = performance.now();
    for (const index of offBy(
      running.map((film) => film.video.currentTime),
      master.fps,
    )) {
      const film = running[index];
      if (now - (this.#corrected.get(film) ?? -Infinity) < LEFT_ALONE_MS) continue;
      this.#corrected.set(film, now);
      film.video.currentTime = master.video.currentTime;
    }
  }
}
