/**
 * Frames and times of a film. Pure.
 *
 * A seek to `n / fps` shows the frame before n in a third of the cases, because both ends round; a seek to the middle of
 * a frame never does. The time that the browser reports of a shown frame may lie a hair below `n / fps`, or, in Firefox,
 * be the time that was asked for; `+ 0.01` of a frame reads both right.
 */

/** What Wan 2.5 makes; for a film whose facts are not known yet. */
const USUAL_FPS = 24;

/** Part of a frame by which a reported time may lie too low. */
const SLACK = 0.01;

/** Frames a second: a number, or a fraction such as `30000/1001`. @param {any} clip @returns {number} */
export function fpsOf(clip) {
  const [over, under = '1'] = String(clip?.got?.fps ?? '').split('/');
  const fps = Number(over) / Number(under);
  return Number.isFinite(fps) && fps > 0 ? fps : USUAL_FPS;
}

/** How many frames a film of this length has; never less than one. */
export const frameCount = (seconds, fps) => Math.max(1, Math.round((seconds || 0) * fps));

/** The time to seek to for a frame, in seconds. */
export const middleOf = (frame, fps) => (frame + 0.5) / fps;

/** Which frame is shown at a media time, counted from 0. */
export const frameAt = (seconds, fps) => Math.max(0, Math.floor(seconds * fps + SLACK));

/** A frame that the film has. */
export const withinFilm = (frame, count) => Math.min(Math.max(Math.round(frame), 0), count - 1);

/** A frame as editors write it: `03:12` is the thirteenth frame of the fourth second. */
export function timecode(frame, fps) {
  const whole = Math.max(1, Math.round(fps));
  const two = (value) => String(value).padStart(2, '0');
  return `${two(Math.floor(frame / whole))}:${two(frame % whole)}`;
}
