/**
 * The still picture of each card: the poster that the server made, else the first frame, taken here with a decoder of
 * its own. Nothing is loaded while the reader scrolls, and a picture whose card has left is not loaded any further.
 */

/** First frames that are kept. */
const KEPT = 300;
/** Decoders for first frames at once. */
const GRABBERS = 2;
const WIDTH = 320;

export class Posters {
  #app;
  /** @type {Map<string, string>} version → address of a picture that is there; the oldest first */
  #known = new Map();
  /** Versions whose poster is said to be there, and is not. @type {Set<string>} */
  #missing = new Set();
  /** @type {{img: HTMLImageElement, clip: any}[]} */
  #queue = [];
  #grabbing = 0;
  #idle;

  /** @param {any} app @param {() => void} idle is called when all pictures that were asked for are there */
  constructor(app, idle) {
    this.#app = app;
    this.#idle = idle;
  }

  /** True while first frames are taken: they need the decoders more than films do. */
  get busy() {
    return this.#grabbing > 0;
  }

  /** Show what is known at once. @returns {boolean} false when it must be loaded */
  showKnown(img, clip) {
    const url = this.#known.get(clip.v);
    if (url) img.src = url;
    return Boolean(url);
  }

  /** True when the server has a poster of a clip: it is not asked for any that is not made. */
  promised(clip) {
    return Boolean(clip.check?.poster) && !this.#missing.has(clip.v);
  }

  /** Load the picture of a card that stays in view; a poster takes the place of a first frame. */
  load(img, clip) {
    const better = this.promised(clip) && img.getAttribute('src')?.startsWith('blob:');
    if (!clip.file || (img.hasAttribute('src') && !better)) return;
    if (!this.promised(clip)) {
      this.#grab(img, clip);
      return;
    }
    const url = this.#app.api.posterUrl(clip);
    const current = () => img.getAttribute('src') === url;
    img.onload = () => current() && this.#keep(clip.v, url);
    img.onerror = () => {
      this.#missing.add(clip.v);
      if (!current()) return;
      img.removeAttribute('src');
      this.#grab(img, clip);
    };
    img.src = url;
  }

  /** Stop loading for a card that is used for another clip. */
  cancel(img) {
    img.onload = img.onerror = null;
    img.removeAttribute('src');
    this.#queue = this.#queue.filter((each) => each.img !== img);
  }

  #keep(version, url) {
    const before = this.#known.get(version);
    if (before !== url && before?.startsWith('blob:')) URL.revokeObjectURL(before);
    this.#known.set(version, url);
    if (this.#known.size <= KEPT) return;
    const [oldest, old] = this.#known.entries().next().value;
    this.#known.delete(oldest);
    if (old.startsWith('blob:')) URL.revokeObjectURL(old);
  }

  #grab(img, clip) {
    if (!this.#queue.some((each) => each.img === img)) this.#queue.push({ img, clip });
    this.#next();
  }

  #next() {
    if (this.#grabbing >= GRABBERS || !this.#queue.length) return;
    const { img, clip } = this.#queue.shift();
    if (this.showKnown(img, clip)) {
      this.#next();
      return;
    }
    this.#grabbing += 1;
    firstFrame(this.#app.api.fileUrl(clip))
      .then((url) => {
        if (!this.#known.has(clip.v)) this.#keep(clip.v, url); // else its poster has come
        if (img.dataset.key === clip.key && !img.hasAttribute('src')) img.src = url;
      })
      .catch(() => {}) // a film that does not decode has no picture; its card says what is known
      .finally(() => {
        this.#grabbing -= 1;
        this.#next();
        if (!this.#grabbing) this.#idle();
      });
  }
}

/** Take the first frame of a film. @returns {Promise<string>} address of a small picture in memory */
async function firstFrame(url) {
  const video = document.createElement('video');
  video.muted = true;
  video.preload = 'auto';
  try {
    await new Promise((done, failed) => {
      video.onloadeddata = done;
      video.onerror = () => failed(video.error);
      setTimeout(failed, 15_000);
      video.src = url;
    });
    const canvas = document.createElement('canvas');
    canvas.width = Math.min(WIDTH, video.videoWidth);
    canvas.height = Math.round((canvas.width * video.videoHeight) / video.videoWidth);
    canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, 'image/webp', 0.8));
    return URL.createObjectURL(blob);
  } finally {
    video.removeAttribute('src');
    video.load();
  }
}
