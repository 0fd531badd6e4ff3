/** Notes at frames of the clip in the loupe: written on the spot, listed, shown on the timeline, with what its check found. */

import { button, el } from './dom.js';
import { timecode } from './frames.js';

export class Marks {
  /** What the panel knows of films: key and version → check. @type {Map<string, any>} */
  #checks = new Map();

  /** @param {any} app @param {any} loupe */
  constructor(app, loupe) {
    this.app = app;
    this.loupe = loupe;
    this.element = el('div', { class: 'notes' });
  }

  /** Bring list and timeline up to date. */
  show() {
    const clip = this.app.store.get(this.loupe.key);
    const { marks } = clip.choice;
    this.loupe.timeline.facts({ marks });
    this.element.replaceChildren(...marks.map((mark) => this.#line(clip, mark)));
    if (clip.file) this.#loadCheck(clip);
  }

  /** Ask for a note at the frame that is shown. The film stops, so that the frame stays the one that is meant. */
  write() {
    const { loupe } = this;
    if (!loupe.films.now) return;
    loupe.transport.pause();
    const { key } = loupe;
    const { frame, fps } = loupe.films;
    const field = el('input', {
      type: 'text',
      class: 'note-field',
      maxlength: '4000',
      'aria-label': `Note at frame ${frame}`,
      placeholder: `Note at ${timecode(frame, fps)}. Enter saves, Esc does not.`,
    });
    const end = () => {
      field.remove();
      loupe.element.focus();
    };
    field.addEventListener('keydown', (event) => {
      if (!['Enter', 'Escape'].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      const text = field.value.trim();
      end();
      if (event.key === 'Enter' && text) this.#save(key, [...this.app.store.get(key).choice.marks, { frame, text }]);
    });
    this.element.prepend(field);
    field.focus();
  }

  #save(key, marks) {
    return this.app.choices.set([key], { marks: [...marks].sort((a, b) => a.frame - b.frame) });
  }

  #line(clip, mark) {
    const at = timecode(mark.frame, this.loupe.films.fps);
    const others = clip.choice.marks.filter((each) => each !== mark);
    return el(
      'p',
      { class: 'note-line' },
      button(at, () => this.loupe.transport.seek(mark.frame), { title: `Go to frame ${mark.frame}` }),
      el('span', { text: mark.text }),
      button('×', () => this.#save(clip.key, others), {
        'aria-label': `Remove the note at ${at}`,
        title: 'Remove (Ctrl-Z undoes it)',
      }),
    );
  }

  /** The waveform and the cuts come with the panel: one look for each film. */
  async #loadCheck({ key, v }) {
    const id = `${key} ${v}`;
    if (!this.#checks.has(id)) {
      this.#checks.set(id, {});
      try {
        this.#checks.set(id, (await this.app.api.get(`clips/${encodeURIComponent(key)}`)).check ?? {});
      } catch {
        this.#checks.delete(id); // without it the timeline has its frames; the next clip asks again
      }
    }
    const { waveform = [], cuts = [] } = this.#checks.get(id) ?? {};
    if (this.loupe.key === key) this.loupe.timeline.facts({ waveform, cuts });
  }
}
