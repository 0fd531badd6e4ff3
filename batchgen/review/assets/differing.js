/** What differs between clips that are compared; what all have in common is not worth a line. Pure. */

import { flagsOf, flagWords, marked, micro, money, sizeWords } from './words.js';

/** @typedef {import('./store.js').Clip} Clip */

/** Fields that would give away which is which: not shown in blind mode. */
const REVEALING = new Set(['take', 'seed', 'model', 'cost', 'run']);

/** @typedef {[string, string, (clip: Clip) => string]} Field name, label, and how a clip has it */
/** @type {Field[]} */
const FIELDS = [
  ['prompt', 'Prompt', (clip) => clip.prompt],
  ['take', 'Take', (clip) => String(clip.take)],
  ['seed', 'Seed', (clip) => text(clip.seed)],
  ['model', 'Model', (clip) => text(clip.model)],
  ['size', 'Size', (clip) => sizeWords(clip.size)],
  ['duration', 'Length', (clip) => (clip.duration ? `${clip.duration} s` : '')],
  [
    'cost',
    'Cost',
    (clip) => (clip.cost_usd === null || clip.cost_usd === undefined ? '' : money(micro(clip.cost_usd))),
  ],
  ['run', 'Made in', (clip) => (clip.run_s ? `${Math.round(clip.run_s)} s` : '')],
  ['flags', 'Flags', (clip) => flagsOf(clip).map(flagWords).join('; ')],
  ['sound', 'Loudness', (clip) => (Number.isFinite(clip.check?.lufs) ? `${clip.check.lufs.toFixed(1)} LUFS` : '')],
];

const text = (value) => (value === null || value === undefined ? '' : String(value));

/**
 * The fields that are not the same in all clips.
 * @param {Clip[]} clips
 * @param {{blind?: boolean}} [options] blind: without what gives away which take or model it is
 * @returns {{name: string, label: string, values: string[]}[]} one value for each clip, in their order
 */
export function differing(clips, { blind = false } = {}) {
  /** @type {Field[]} */
  const axes = [...new Set(clips.flatMap((clip) => Object.keys(clip.cell ?? {})))].map((axis) => [
    `cell:${axis}`,
    axis,
    (clip) => text(clip.cell?.[axis]),
  ]);
  return [...FIELDS.slice(0, 1), ...axes, ...FIELDS.slice(1)]
    .filter(([name]) => !(blind && REVEALING.has(name)))
    .map(([name, label, of]) => ({ name, label, values: clips.map(of) }))
    .filter(({ values }) => new Set(values).size > 1);
}

/** The prompts in pieces: for each clip [[text, differs]…]. @param {Clip[]} clips */
export function promptPieces(clips) {
  return clips.map((clip) =>
    marked(
      clip.prompt,
      clips.filter((other) => other !== clip).map((other) => other.prompt),
    ),
  );
}
