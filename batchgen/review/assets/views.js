/** The full-page views over the grid. Each module exports `entries`, its rows of the key table. */

/** @type {{entries: import('./keys.js').Entry[]}[]} */
export const VIEWS = [];
