/** The full-page views and dialogs over the grid. Each module exports `entries`, its rows of the key table. */
import * as arena from './arena.js';
import * as cart from './cart_view.js';
import * as compare from './compare.js';
import * as cost from './cost.js';
import * as loupe from './loupe.js';
import * as matrix from './matrix.js';
import * as selects from './selects.js';

/** @type {{entries: import('./keys.js').Entry[]}[]} in the order of the toolbar */
export const VIEWS = [loupe, matrix, compare, arena, selects, cart, cost];
