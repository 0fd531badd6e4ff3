/** The tournament on the page: two takes at a time; the winner stays on the left and meets the next one. */

import { button, el, setText } from './dom.js';
import { Compare, comparable } from './compare.js';
import { Tournament } from './tournament.js';

class Arena extends Compare {
  constructor(app, keys) {
    const tournament = new Tournament(keys);
    super(app, tournament.pair);
    this.tournament = tournament;
    this.element.setAttribute('aria-label', 'Tournament');
    this.sides = el(
      'div',
      { class: 'sides' },
      button('← Keep the left', () => this.keep('left')),
      button('Keep the right →', () => this.keep('right')),
    );
    this.result = el('div', { class: 'result', role: 'status', hidden: true });
    this.tiles.after(this.sides, this.result);
    this.#next();
  }

  /** Keep one side: the other is out. @param {'left'|'right'} side */
  keep(side) {
    if (!this.tournament.pair) return;
    this.tournament.keep(side);
    this.front = 0;
    this.#next();
  }

  /** Take the last decision back. */
  back() {
    if (this.tournament.undo()) this.#next();
    else this.app.say('No decision yet');
  }

  /** Pick the winner. @param {boolean} [rejecting] reject all others too */
  async pickWinner(rejecting = false) {
    const { winner, keys } = this.tournament;
    if (!winner) return;
    const { app } = this;
    app.pop();
    app.setFocus(winner);
    if (rejecting)
      app.choices.set(
        keys.filter((key) => key !== winner),
        { pick: -1 },
      );
    await app.choices.set([winner], { pick: 1 });
  }

  /** In a tournament the order is the game: only the names are hidden. */
  toggleBlind() {
    this.blind = !this.blind;
    this.refresh();
  }

  #next() {
    const { pair, winner, progress, keys } = this.tournament;
    this.transport.pause();
    this.sides.hidden = Boolean(winner);
    this.result.hidden = !winner;
    if (winner) this.#showWinner(winner);
    else this.compareKeys(pair, keys.slice(progress.made + 2, progress.made + 3));
    setText(this.bar.querySelector('h2'), `Tournament: ${progress.made} of ${progress.of} decided`);
  }

  #showWinner(winner) {
    this.blind = false;
    this.layout = 'tiles';
    this.compareKeys([winner]);
    const { name } = this.app.store.get(winner);
    const others = this.tournament.keys.length - 1;
    const first = button('Pick it (Enter)', () => this.pickWinner(), { class: 'main' });
    this.result.replaceChildren(
      el('strong', { text: `${name} won against ${others} other${others === 1 ? '' : 's'}` }),
      first,
      button('Pick it and reject the others', () => this.pickWinner(true)),
      button('Take the last decision back', () => this.back()),
    );
  }
}

/** Open a tournament among clips, such as all takes of a prompt. @param {any} app @param {string[]} keys */
export function openTournament(app, keys) {
  const undecided = keys.filter((key) => app.store.get(key)?.choice.pick !== -1);
  const found = comparable(app, undecided);
  if (!found.length) return;
  const arena = new Arena(app, found);
  app.push({ name: 'tournament', ...arena.mode() });
}

const MODES = ['tournament'];
const here = (run) => (app) => run(app.mode.view);

/** @type {import('./keys.js').Entry[]} */
export const entries = [
  {
    keys: ['shift+t'],
    does: 'Tournament of the takes of this prompt',
    group: 'View',
    modes: ['grid', 'matrix', 'loupe'],
    run: (app) =>
      openTournament(
        app,
        app.selection.size > 1 ? [...app.selection] : app.store.siblings(app.focus).map(({ key }) => key),
      ),
  },
  { keys: ['ArrowLeft'], does: 'Keep the left', group: 'Decide', modes: MODES, run: here((it) => it.keep('left')) },
  { keys: ['ArrowRight'], does: 'Keep the right', group: 'Decide', modes: MODES, run: here((it) => it.keep('right')) },
  {
    keys: ['Backspace'],
    does: 'Take the last decision back',
    group: 'Decide',
    modes: MODES,
    run: here((it) => it.back()),
  },
  { keys: ['Enter'], does: 'Pick the winner', group: 'Decide', modes: MODES, run: here((it) => it.pickWinner()) },
];
