/**
 * Fit, 100 %, and anything between, the same for all films of a view: a detail is seen at the same place in each of them.
 * At 100 % a pixel of the film is a pixel of the screen.
 */

/** How far the wheel may go, against fit. */
const LARGEST = 16;

/** The scale at which a film has its own pixels, against fit. */
export function fullScale({ videoWidth, videoHeight }, { width, height }, ratio = 1) {
  if (!videoWidth || !videoHeight || !width || !height) return 1;
  const fitted = Math.min(width, height * (videoWidth / videoHeight));
  return videoWidth / ratio / fitted;
}

export class Zoom {
  scale = 1;
  /** Where the middle of the picture is, in parts of the stage. */
  #x = 0;
  #y = 0;
  /** @type {{stage: HTMLElement, video: () => HTMLVideoElement|null}[]} */
  #stages = [];

  /** @param {() => void} onChange */
  constructor(onChange = () => {}) {
    this.onChange = onChange;
  }

  /** Follow a stage: wheel and drag on it move all. @param {HTMLElement} stage @param {() => HTMLVideoElement|null} video */
  add(stage, video) {
    this.#stages.push({ stage, video });
    stage.addEventListener('wheel', (event) => this.#wheel(event, stage), { passive: false });
    stage.addEventListener('pointerdown', (event) => this.#drag(event, stage));
  }

  get fitted() {
    return this.scale === 1 && this.#x === 0 && this.#y === 0;
  }

  /** Fit to 100 %, and back. */
  toggle() {
    const [first] = this.#stages;
    const video = first?.video();
    if (!video) return;
    const full = fullScale(video, first.stage.getBoundingClientRect(), devicePixelRatio);
    this.#set(this.fitted && Math.abs(full - 1) > 0.001 ? full : 1, 0, 0);
  }

  /** Lay the present zoom over all films, also over one that came new. */
  apply() {
    for (const { video } of this.#stages) {
      const film = video();
      if (film)
        film.style.transform = this.fitted
          ? ''
          : `translate(${this.#x * 100}%, ${this.#y * 100}%) scale(${this.scale})`;
    }
  }

  #set(scale, x, y) {
    const room = Math.max(0.5, scale / 2);
    this.scale = scale;
    this.#x = Math.min(Math.max(x, -room), room);
    this.#y = Math.min(Math.max(y, -room), room);
    this.apply();
    this.onChange();
  }

  /** Zoom at the pointer: what lies under it stays there. */
  #wheel(event, stage) {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    const scale = Math.min(Math.max(this.scale * 2 ** (-event.deltaY / 400), 1), LARGEST);
    const by = scale / this.scale;
    const at = [(event.clientX - box.left) / box.width - 0.5, (event.clientY - box.top) / box.height - 0.5];
    if (scale === 1) this.#set(1, 0, 0);
    else this.#set(scale, at[0] + (this.#x - at[0]) * by, at[1] + (this.#y - at[1]) * by);
  }

  #drag(event, stage) {
    if (this.fitted || event.button !== 0) return;
    const box = stage.getBoundingClientRect();
    const from = [event.clientX, event.clientY, this.#x, this.#y];
    const move = (to) =>
      this.#set(
        this.scale,
        from[2] + (to.clientX - from[0]) / box.width,
        from[3] + (to.clientY - from[1]) / box.height,
      );
    const end = new AbortController();
    stage.setPointerCapture(event.pointerId);
    stage.addEventListener('pointermove', move, { signal: end.signal });
    for (const name of ['pointerup', 'pointercancel'])
      stage.addEventListener(name, () => end.abort(), { signal: end.signal });
  }
}
