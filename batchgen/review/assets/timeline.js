/**
 * The line below a film: its waveform, a tick for each frame (or second), hard cuts, notes at frames, and where it is
 * now. Drawn on a canvas; only the playhead moves while it plays.
 */

import { el, setAttr } from './dom.js';
import { timecode } from './frames.js';

/** Pixels from which single frames get their ticks. */
const ROOM_PER_FRAME = 4;

export class Timeline {
  #film = null;
  #facts = { waveform: [], cuts: [], marks: [] };

  /** @param {(frame: number) => void} onSeek */
  constructor(onSeek) {
    this.onSeek = onSeek;
    this.canvas = el('canvas', { 'aria-hidden': 'true' });
    this.head = el('div', { class: 'playhead' });
    this.marks = el('div', { class: 'tl-marks' });
    this.element = el(
      'div',
      {
        class: 'timeline',
        role: 'slider',
        tabindex: '0',
        'aria-label': 'Frame',
        'aria-valuemin': '0',
        on: { pointerdown: (event) => this.#drag(event) },
      },
      this.canvas,
      this.marks,
      this.head,
    );
    this.sized = new ResizeObserver(() => this.draw());
    this.sized.observe(this.element);
  }

  /** @param {{fps: number, count: number, frame: number}|null} film what it shows; null: nothing */
  show(film) {
    this.#film = film;
    this.facts({ waveform: [], cuts: [], marks: [] });
    if (film) this.at(film.frame);
  }

  /** What is known of the film: `waveform` 0 to 1, `cuts` in seconds, `marks` [{frame, text}]. */
  facts(known) {
    this.#facts = { ...this.#facts, ...known };
    this.draw();
  }

  /** Put the playhead on a frame. */
  at(frame) {
    const { count, fps } = this.#film ?? { count: 1, fps: 24 };
    this.head.style.left = `${((frame + 0.5) / count) * 100}%`;
    setAttr(this.element, 'aria-valuenow', frame);
    setAttr(this.element, 'aria-valuemax', count - 1);
    setAttr(this.element, 'aria-valuetext', `frame ${frame}, ${timecode(frame, fps)}`);
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    const pen = this.canvas.getContext('2d');
    this.canvas.width = width * devicePixelRatio;
    this.canvas.height = height * devicePixelRatio;
    if (!this.#film || !width) return;
    const style = getComputedStyle(this.canvas); // a custom property is not resolved here; a property that takes a colour is
    pen.scale(devicePixelRatio, devicePixelRatio);
    this.#drawWaveform(pen, width, height, style.color);
    this.#drawTicks(pen, width, height, style.outlineColor);
    this.#drawCuts(pen, width, height, style.textDecorationColor);
    this.#placeMarks();
  }

  close() {
    this.sized.disconnect();
  }

  #drawWaveform(pen, width, height, colour) {
    const { waveform } = this.#facts;
    pen.fillStyle = colour;
    waveform.forEach((level, index) => {
      const tall = Math.max(1, level * (height - 12));
      pen.fillRect((index * width) / waveform.length, (height - 8 - tall) / 2, width / waveform.length - 0.5, tall);
    });
  }

  #drawTicks(pen, width, height, colour) {
    const { fps, count } = this.#film;
    const second = Math.round(fps);
    const every = width / count >= ROOM_PER_FRAME ? 1 : second;
    pen.fillStyle = colour;
    for (let frame = 0; frame <= count; frame += every) {
      pen.fillRect(Math.round((frame * width) / count), height - (frame % second ? 4 : 8), 1, 8);
    }
  }

  #drawCuts(pen, width, height, colour) {
    pen.fillStyle = colour;
    for (const cut of this.#facts.cuts) {
      pen.fillRect(Math.round((cut * this.#film.fps * width) / this.#film.count) - 1, 0, 2, height - 8);
    }
  }

  #placeMarks() {
    const { count } = this.#film;
    this.marks.replaceChildren(
      ...this.#facts.marks.map(({ frame, text }) => {
        const mark = el('button', {
          type: 'button',
          class: 'mark',
          title: text,
          'aria-label': `Note at frame ${frame}: ${text}`,
          text: '▾',
          on: { click: () => this.onSeek(frame), pointerdown: (event) => event.stopPropagation() },
        });
        mark.style.left = `${((frame + 0.5) / count) * 100}%`;
        return mark;
      }),
    );
  }

  #drag(event) {
    if (!this.#film || event.button !== 0) return;
    const box = this.element.getBoundingClientRect();
    const seek = ({ clientX }) => this.onSeek(Math.floor(((clientX - box.left) / box.width) * this.#film.count));
    const end = new AbortController();
    this.element.setPointerCapture(event.pointerId);
    this.element.addEventListener('pointermove', seek, { signal: end.signal });
    for (const name of ['pointerup', 'pointercancel']) {
      this.element.addEventListener(name, () => end.abort(), { signal: end.signal });
    }
    seek(event);
  }
}
