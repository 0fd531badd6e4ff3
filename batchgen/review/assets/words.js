/** Amounts, times, flags and states in words. Pure. */

/** Dollars of the API as whole micro-dollars, so that sums are exact. @returns {number} */
export const micro = (usd) => Math.round(Number(usd ?? 0) * 1e6);

/** Micro-dollars as people write them: cents, or more digits where cents would say 0. */
export function money(microUsd) {
  const usd = microUsd / 1e6;
  return `$${usd.toFixed(usd > 0 && usd < 0.005 ? 4 : 2)}`;
}

/** A length of time: `45 s`, `3 min`, `2 h 05 min`. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds * 10) / 10} s`.replace('.0 ', ' ');
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** A time of the API (ISO text or seconds since 1970) in the reader's own zone. */
export function moment(at) {
  if (!at) return '';
  const date = new Date(typeof at === 'number' ? at * 1000 : at);
  return date.toLocaleString([], { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

/** `1 clip`, `2 clips`. */
export const plural = (count, word) => `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`;

/** What each state of a clip means on its card. */
export const STATES = {
  pending: 'not made yet',
  submitting: 'being submitted',
  unconfirmed: 'unconfirmed',
  generating: 'generating',
  downloading: 'downloading',
  done: 'done',
  failed: 'failed',
  blocked: 'blocked',
  lost: 'lost',
};

const FLAGS = {
  black: 'Black picture',
  frozen: 'Frozen: the picture stands still for half a second or more',
  silent: 'Silent: no sound above −60 LUFS',
  letterbox: 'Letterbox: black bars in the picture',
  cut: 'Hard cut inside the clip',
  near_duplicate: 'Nearly the same as',
  size: 'Another size than requested',
  duration: 'Another length than requested',
  header: 'Unusual header; it plays',
  layout: 'Loose bytes around the film; it plays',
  bytes: 'Another file length than the service stated',
};

/** A flag in words; the part behind a colon names what it refers to. */
export function flagWords(flag) {
  const [name, ...rest] = flag.split(':');
  const known = FLAGS[name] ?? name;
  return rest.length ? `${known} ${rest.join(':')}` : known;
}

const BADGES = { cut: 'hard cut', near_duplicate: 'like', size: 'other size', duration: 'other length', layout: 'loose bytes', bytes: 'other file length' };

/** A flag of a clip in a word or two, for its card: `silent`, `like take 2`. */
export function flagBadge(flag, clip) {
  const [name, ...rest] = flag.split(':');
  const other = rest.join(':');
  const take = other.startsWith(`${clip.prompt_id}_`) ? other.slice(clip.prompt_id.length + 1) : '';
  return [BADGES[name] ?? name, /^\d+$/.test(take) ? `take ${take}` : other].filter(Boolean).join(' ');
}

/** The reasons of a reject, by the keys 1 to 9. */
export const REASONS = ['hands', 'face', 'text', 'motion', 'prompt', 'flicker', 'sound', 'crop', 'other'];

/** The colour labels, by the keys 6 to 9. */
export const LABELS = ['red', 'yellow', 'green', 'blue'];

/** `832*480` as `832 × 480`. */
export const sizeWords = (size) => String(size ?? '').replace('*', ' × ');

/** Width over height of a clip: what it has, else what was asked for. */
export function aspect(clip) {
  if (clip.got?.width && clip.got?.height) return clip.got.width / clip.got.height;
  const [width, height] = String(clip.size ?? '').split(/[*x×]/).map(Number);
  return width > 0 && height > 0 ? width / height : 16 / 9;
}

/** All flags of a clip: of its download and of its check. */
export const flagsOf = (clip) => [...(clip.flags ?? []), ...(clip.check?.flags ?? [])];

/** Prompts that a line about all of them is made of, at most: it is made at each change. */
const MOST_COMPARED = 24;

/** Split words into those that siblings share and those that differ: [[text, differs]…], with the spaces kept. */
export function marked(prompt, others) {
  const parts = prompt.split(/(\s+)/);
  const elsewhere = others.map((other) => other.split(/(\s+)/));
  const differs = parts.map((_, index) => !elsewhere.every((words) => common(words, parts, index)));
  return parts.map((text, index) => [text, /\S/.test(text) && elsewhere.length > 0 && differs[index]]);
}

/** The prompt of clips that share one but for the matrix, with `…` where they differ. */
export function commonWords(clips) {
  const [first = '', ...others] = new Set(clips.map((clip) => clip.prompt));
  const pieces = marked(first, others.slice(0, MOST_COMPARED)).map(([text, differs]) => (differs ? '…' : text));
  return pieces.join('').replace(/…(\s+…)+/g, '…');
}

/** True when the word at `index` is also in the other, at the same place counted from the start or from the end. */
function common(words, parts, index) {
  const word = parts[index];
  return words[index] === word || words[words.length - (parts.length - index)] === word;
}
