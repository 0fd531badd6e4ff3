/**
 * Play, stop, step and speed, by key and by button, for whatever is driven by frames: one film in the loupe, several on
 * one clock in compare.
 *
 * @typedef {{frame: number, count: number, fps: number, playing: boolean, seeking: boolean, play(rate: number): Promise<any>,
 *   pause(): void, seek(frame: number): void, mute(): void}} Deck
 */

/** Speeds that S goes through, and the ones of J and L, pressed again and again. */
const SPEEDS = [1, 0.5, 0.25];
const SHUTTLE = [1, 2, 4];

/** Frames of a large step. */
const LARGE = 12;

export class Transport {
  /** The speed of play; negative while it runs backwards. */
  rate = 1;
  #backwards = 0;
  /** Counts what was begun and ended: an answer of the browser to an older one is not news. */
  #turn = 0;

  /** @param {Deck} deck @param {() => void} onChange after play, stop, speed and sound */
  constructor(deck, onChange = () => {}) {
    this.deck = deck;
    this.onChange = onChange;
  }

  get playing() {
    return this.deck.playing || this.#backwards !== 0;
  }

  toggle() {
    if (this.playing) this.pause();
    else this.#forward(Math.abs(this.rate));
  }

  pause() {
    this.#stopBackwards();
    this.deck.pause();
    this.rate = Math.min(Math.abs(this.rate), 1);
    this.onChange();
  }

  step(frames) {
    this.pause();
    this.deck.seek(this.deck.frame + frames);
  }

  seek(frame) {
    this.pause();
    this.deck.seek(frame);
  }

  /** Faster forward with each press: 1, 2, 4. */
  faster() {
    this.#forward(this.deck.playing ? next(SHUTTLE, this.rate) : 1);
  }

  /** Faster backwards with each press. Browsers can't play backwards, so it seeks, as fast as the film can follow. */
  backwards() {
    const rate = this.#backwards ? next(SHUTTLE, -this.rate) : 1;
    this.#stopBackwards();
    this.deck.pause();
    this.rate = -rate;
    this.#runBackwards(rate);
    this.onChange();
  }

  /** The next slower speed, and then the usual one again. */
  slower() {
    const rate = SPEEDS[(SPEEDS.indexOf(Math.abs(this.rate)) + 1) % SPEEDS.length];
    if (this.playing) this.#forward(rate);
    else this.rate = rate;
    this.onChange();
  }

  mute() {
    this.deck.mute();
    this.onChange();
  }

  /** Go on with another film at the usual speed. */
  begin() {
    this.#forward(1);
  }

  close() {
    this.#turn += 1;
    this.#stopBackwards();
  }

  #forward(rate) {
    this.#stopBackwards();
    this.rate = rate;
    const turn = (this.#turn += 1);
    this.deck.play(rate).then(() => turn === this.#turn && this.onChange());
    this.onChange();
  }

  #runBackwards(rate) {
    const began = performance.now();
    const from = this.deck.frame;
    const turn = (now) => {
      if (!this.#backwards) return;
      const frame = Math.round(from - ((now - began) / 1000) * this.deck.fps * rate);
      if (frame <= 0) return this.seek(0);
      if (!this.deck.seeking) this.deck.seek(frame);
      this.#backwards = requestAnimationFrame(turn);
    };
    this.#backwards = requestAnimationFrame(turn);
  }

  #stopBackwards() {
    cancelAnimationFrame(this.#backwards);
    this.#backwards = 0;
  }
}

const next = (speeds, rate) => speeds[Math.min(speeds.indexOf(rate) + 1, speeds.length - 1)];

/**
 * The rows of the key table that drive the transport of the view that is open.
 * @param {string[]} modes
 */
export function transportEntries(modes) {
  const row = (keys, does, run) => ({ keys, does, group: 'Play', modes, run: (app) => run(app.mode.view.transport) });
  return [
    row(['Space'], 'Play or stop', (it) => it.toggle()),
    row(['j'], 'Play backwards, faster each time', (it) => it.backwards()),
    row(['k'], 'Stop', (it) => it.pause()),
    row(['l'], 'Play, faster each time', (it) => it.faster()),
    row([','], 'One frame back', (it) => it.step(-1)),
    row(['.'], 'One frame on', (it) => it.step(1)),
    row(['shift+ArrowLeft'], '12 frames back', (it) => it.step(-LARGE)),
    row(['shift+ArrowRight'], '12 frames on', (it) => it.step(LARGE)),
    row(['Home'], 'First frame', (it) => it.seek(0)),
    row(['End'], 'Last frame', (it) => it.seek(it.deck.count - 1)),
    row(['s'], 'Slower: ½, ¼, and normal again', (it) => it.slower()),
    row(['m'], 'Sound on or off', (it) => it.mute()),
  ];
}
