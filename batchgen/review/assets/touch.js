/**
 * On a phone: the loupe comes first, and a thumb decides. Right picks, left rejects, up goes on, down undoes.
 */

/** Pixels from which a movement is a swipe, and how much longer its main direction must be. */
const FAR = 64;
const STRAIGHT = 1.5;

/** What a movement of a finger means. @returns {'right'|'left'|'up'|'down'|null} */
export function swipeOf(dx, dy) {
  const [wide, tall] = [Math.abs(dx), Math.abs(dy)];
  if (Math.max(wide, tall) < FAR || Math.max(wide, tall) < STRAIGHT * Math.min(wide, tall)) return null;
  if (wide > tall) return dx > 0 ? 'right' : 'left';
  return dy > 0 ? 'down' : 'up';
}

/** True on a narrow screen that is touched. */
export const isPhone = () => matchMedia('(pointer: coarse) and (max-width: 700px)').matches;

/** Let swipes over a stage decide about the clip that it shows. @param {any} app @param {any} loupe @param {HTMLElement} stage */
export function swipes(app, loupe, stage) {
  const act = {
    right: () => app.choices.set([loupe.key], { pick: 1 }, { advance: true }),
    left: () => app.choices.set([loupe.key], { pick: -1 }, { advance: true }),
    up: () => loupe.go(1),
    down: () => app.choices.undo(),
  };
  let from = null;
  const end = (event) => {
    const began = from;
    from = null;
    stage.style.translate = '';
    delete stage.dataset.swipe;
    if (began && event.type === 'pointerup') act[swipeOf(event.clientX - began.x, event.clientY - began.y)]?.();
  };
  stage.addEventListener('pointerdown', (event) => {
    // A second finger zooms, and a zoomed picture is moved: neither is a decision.
    from =
      event.pointerType === 'touch' && event.isPrimary && loupe.zoom.fitted
        ? { x: event.clientX, y: event.clientY }
        : null;
  });
  stage.addEventListener('pointermove', (event) => {
    if (!from || event.pointerType !== 'touch') return;
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    stage.style.translate = `${dx}px ${dy}px`;
    stage.dataset.swipe = swipeOf(dx, dy) ?? '';
  });
  stage.addEventListener('pointerup', end);
  stage.addEventListener('pointercancel', end);
}

/** On a phone begin with the first undecided clip in the loupe. @param {any} app @param {(app: any, keys: string[]) => void} open */
export function beginOnPhone(app, open) {
  if (!isPhone()) return;
  const keys = app.list();
  const first =
    keys.find((key) => app.store.get(key).state === 'done' && app.store.get(key).choice.pick === 0) ?? keys[0];
  if (first) open(app, [first]);
}
