/** Which clips are shown, in which groups, and how many each filter would show. The filter lives in the address. Pure. */
import { flagsOf } from './words.js';

const FAILED = new Set(['failed', 'blocked', 'lost']);

/** The rows of the queue: name → [words, test]. */
export const QUEUE = {
  all: ['All clips', () => true],
  undecided: ['Undecided', (clip) => clip.state === 'done' && clip.choice.pick === 0],
  picks: ['Picks', (clip) => clip.choice.pick === 1],
  rejected: ['Rejected', (clip) => clip.choice.pick === -1],
  flagged: ['Flagged', (clip) => flagsOf(clip).length > 0],
  failed: ['Failed', (clip) => FAILED.has(clip.state)],
  unconfirmed: ['Unconfirmed', (clip) => clip.state === 'unconfirmed'],
};

/** @typedef {{queue: string, group: string, prompt: string, axes: Object<string, string[]>, tags: string[],
 *   sizes: string[], labels: string[], stars: number, search: string}} Filter */

/** Read the filter from an address's fragment. @returns {Filter} */
export function parseHash(hash) {
  const found = new URLSearchParams(hash.replace(/^#/, ''));
  const axes = {};
  for (const [name, value] of found) if (name.startsWith('axis.')) (axes[name.slice(5)] ??= []).push(value);
  return {
    queue: Object.hasOwn(QUEUE, found.get('f')) ? found.get('f') : 'all',
    group: ['prompt', 'none'].includes(found.get('g')) ? found.get('g') : '',
    prompt: found.get('p') ?? '',
    axes,
    tags: found.getAll('tag'),
    sizes: found.getAll('size'),
    labels: found.getAll('label'),
    stars: Math.min(5, Number.parseInt(found.get('stars'), 10) || 0),
    search: found.get('q') ?? '',
  };
}

/** Write the filter as a fragment; what is at its default is left out. @param {Filter} filter @param {string} batch */
export function toHash(filter, batch) {
  const made = new URLSearchParams();
  if (batch) made.set('b', batch);
  if (filter.queue !== 'all') made.set('f', filter.queue);
  if (filter.group) made.set('g', filter.group);
  if (filter.prompt) made.set('p', filter.prompt);
  for (const [axis, values] of Object.entries(filter.axes)) for (const value of values) made.append(`axis.${axis}`, value);
  for (const tag of filter.tags) made.append('tag', tag);
  for (const size of filter.sizes) made.append('size', size);
  for (const label of filter.labels) made.append('label', label);
  if (filter.stars) made.set('stars', filter.stars);
  if (filter.search) made.set('q', filter.search);
  const text = made.toString();
  return text ? `#${text}` : '#f=all';
}

/** Make a test of a search: words that must be there, `-word` that must not, `seed:7`, `tag:hero`, `"two words"`. */
export function searchTest(text) {
  const tests = [];
  for (const [, minus, field = '', quoted, plain] of text.matchAll(/(?<!\S)(-?)(?:(\w+:)?"([^"]*)"(?!\S)|(\S+))/g)) {
    const word = (plain ?? field + quoted).toLowerCase();
    if (!word || word === '-') continue; // a minus whose word is not typed yet
    const test = wordTest(word);
    tests.push(minus ? (clip) => !test(clip) : test);
  }
  return (clip) => tests.every((test) => test(clip));
}

function wordTest(word) {
  const [, field, value] = /^(seed|tag|reason|label|state):(.*)$/.exec(word) ?? [];
  if (field === 'seed') return (clip) => String(clip.seed) === value;
  if (field === 'tag') return (clip) => clip.choice.tags.some((tag) => tag.toLowerCase().startsWith(value));
  if (field === 'state') return (clip) => clip.state === value;
  if (field) return (clip) => clip.choice[field] === value;
  return (clip) => textOf(clip).includes(word);
}

const texts = new WeakMap();

/** All words of a clip in lower case, made once for each set of them. */
function textOf(clip) {
  const known = texts.get(clip);
  if (known && known.prompt === clip.prompt && known.note === clip.choice.note) return known.text;
  const text = [clip.name, clip.prompt, ...Object.values(clip.cell ?? {}), clip.choice.note].join('\n').toLowerCase();
  texts.set(clip, { prompt: clip.prompt, note: clip.choice.note, text });
  return text;
}

/** The filter as named tests; a clip is shown when it passes all. */
function testsOf(filter) {
  const tests = [['queue', QUEUE[filter.queue][1]]];
  if (filter.search) tests.push(['search', searchTest(filter.search)]);
  if (filter.prompt) tests.push(['prompt', (clip) => clip.group === filter.prompt]);
  for (const [axis, values] of Object.entries(filter.axes)) {
    if (values.length) tests.push([`axis.${axis}`, (clip) => values.includes(clip.cell?.[axis])]);
  }
  if (filter.tags.length) tests.push(['tag', (clip) => filter.tags.every((tag) => clip.choice.tags.includes(tag))]);
  if (filter.sizes.length) tests.push(['size', (clip) => filter.sizes.includes(clip.size)]);
  if (filter.labels.length) tests.push(['label', (clip) => filter.labels.includes(clip.choice.label)]);
  if (filter.stars) tests.push(['stars', (clip) => clip.choice.stars >= filter.stars]);
  return tests;
}

/**
 * Arrange all clips.
 * @param {Iterable<any>} clips in order
 * @param {Filter} filter
 * @param {Set<string>} pins keys that are shown whatever the filter says
 * @returns {{keys: string[], groups: {id: string, keys: string[]}[], counts: Map<string, number>}} counts of `queue:NAME`,
 *   `prompt:ID`, `axis.NAME:VALUE`, `tag:T`, `size:S`, `label:L`: how many clips would be shown with that instead
 */
export function arrange(clips, filter, pins) {
  const tests = testsOf(filter);
  const keys = [];
  const counts = new Map();
  const groups = new Map();
  const prompts = new Set();
  let all = 0;
  const add = (name) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const clip of clips) {
    all += 1;
    prompts.add(clip.group);
    const failed = tests.filter(([, test]) => !test(clip));
    if (failed.length <= 1) count(clip, failed[0]?.[0], add);
    if (failed.length && !pins.has(clip.key)) continue;
    keys.push(clip.key);
    const group = groups.get(clip.group);
    if (group) group.push(clip.key);
    else groups.set(clip.group, [clip.key]);
  }
  const listed = [...groups].map(([id, members]) => ({ id, keys: members }));
  // By itself only where there are takes: a line for each single clip would be all that one sees.
  const grouped = filter.group ? filter.group === 'prompt' : prompts.size < all;
  return { keys: grouped ? listed.flatMap((group) => group.keys) : keys, groups: grouped ? listed : [{ id: '', keys }], counts };
}

/** Count a clip under all that it would be shown with: what fails, if anything, is the facet that it counts for. */
function count(clip, failed, add) {
  const counts = (facet) => failed === undefined || failed === facet;
  if (counts('queue')) for (const name of Object.keys(QUEUE)) if (QUEUE[name][1](clip)) add(`queue:${name}`);
  if (counts('prompt')) add(`prompt:${clip.group}`);
  for (const [axis, value] of Object.entries(clip.cell ?? {})) if (counts(`axis.${axis}`)) add(`axis.${axis}:${value}`);
  if (counts('tag')) for (const tag of clip.choice.tags) add(`tag:${tag}`);
  if (counts('size')) add(`size:${clip.size}`);
  if (counts('label') && clip.choice.label) add(`label:${clip.choice.label}`);
  if (counts('stars') && clip.choice.stars) add(`stars:${clip.choice.stars}`);
}
