/**
 * King of the hill among the takes of a prompt: the best so far stays on the left, the next take comes on the right.
 * n takes need n − 1 decisions. Pure.
 */

export class Tournament {
  /** @type {('left'|'right')[]} */
  #answers = [];

  /** @param {string[]} keys of two clips or more, in the order in which they come */
  constructor(keys) {
    this.keys = keys;
  }

  /** The two that are compared now; null once it is decided. @returns {[string, string]|null} */
  get pair() {
    const next = this.#answers.length + 1;
    return next < this.keys.length ? [this.#best(), this.keys[next]] : null;
  }

  /** The winner; null as long as it is not decided. @returns {string|null} */
  get winner() {
    return this.pair ? null : this.#best();
  }

  /** How many decisions were made, and how many it takes. */
  get progress() {
    return { made: this.#answers.length, of: this.keys.length - 1 };
  }

  /** Keep one side. @param {'left'|'right'} side */
  keep(side) {
    if (this.pair) this.#answers.push(side);
  }

  /** Take the last decision back. @returns {boolean} false when there was none */
  undo() {
    return this.#answers.pop() !== undefined;
  }

  #best() {
    return this.#answers.reduce((best, side, index) => (side === 'left' ? best : this.keys[index + 1]), this.keys[0]);
  }
}

/** The keys in another order, each equally likely: for blind mode. @param {() => number} random from 0 to below 1 */
export function shuffled(keys, random = Math.random) {
  const mixed = [...keys];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [mixed[last], mixed[other]] = [mixed[other], mixed[last]];
  }
  return mixed;
}
