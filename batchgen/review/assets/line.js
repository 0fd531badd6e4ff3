/** A line of the matrix that plays: the best take of each cell, over its picture, all on one clock and without sound. */

import { Clock } from './clock.js';
import { Film } from './film.js';

/** Films of a line that play at once, at most. */
const MOST = 6;

export class Line {
  clock = new Clock();
  /** The name of the line that plays; empty while none does. */
  name = '';
  /** @type {Film[]} */
  #films = [];

  /** @param {any} app @param {(name: string, at: [number, number][]) => void} onChange is called with the line
   *   that plays now, and with its cells */
  constructor(app, onChange) {
    this.app = app;
    this.onChange = onChange;
  }

  /**
   * Play a line; the one that plays already stops.
   * @param {string} name @param {{clip: any, at: [number, number], node: HTMLElement}[]} cells those in view
   * @param {number} all how many films the whole line has
   */
  async toggle(name, cells, all) {
    const again = this.name === name;
    this.stop();
    if (again) return;
    this.name = name;
    const played = cells.slice(0, MOST);
    if (played.length < all) this.app.say(`${played.length} of ${all} films of this line play: those in view`);
    this.onChange(name, played.map(({ at }) => at));
    const films = played.map(({ clip, node }) => this.#over(node, clip));
    this.#films = films;
    await Promise.all(films.map((film) => film.settled()));
    if (films !== this.#films) return;
    this.clock.drive(films);
    this.clock.play(1);
  }

  stop() {
    this.name = '';
    this.onChange('', []);
    this.clock.seek(0);
    this.clock.drive([]);
    for (const film of this.#films) film.close();
    this.#films = [];
  }

  #over(node, clip) {
    const film = new Film(this.app, clip);
    node.append(film.video);
    return film;
  }
}
