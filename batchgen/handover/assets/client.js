/* The client's page: one classic script, since browsers refuse modules on file://. Text goes in by textContent only. */
(() => {
  'use strict';
  const data = JSON.parse(document.getElementById('data').textContent);
  const $ = (id) => document.getElementById(id);
  const NOTHING = { pick: 0, stars: 0, note: '', at: '' };
  const prefix = `batchgen:${data.report}:`;
  const answers = new Map();
  const cards = new Map();
  let shown = 'all';
  let sent = '';
  let kept = true;

  function el(tag, props, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (name === 'text') made.textContent = value;
      else if (name === 'run') made.addEventListener('click', value);
      else if (value !== null) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  // --- what is kept in this browser ---------------------------------------------------------------------

  function read(name) {
    try {
      return localStorage.getItem(prefix + name);
    } catch {
      return null;
    }
  }

  function keep(name, value) {
    try {
      localStorage.setItem(prefix + name, value);
    } catch {
      if (kept) {
        $('trouble').textContent = 'This browser keeps nothing for this page: send your picks before you close it.';
        $('trouble').hidden = false;
      }
      kept = false;
    }
  }

  function parsed(text) {
    try {
      const { pick, stars, note, at } = JSON.parse(text);
      const fits = [-1, 0, 1].includes(pick) && [0, 1, 2, 3, 4, 5].includes(stars);
      return fits && typeof note === 'string' && typeof at === 'string' ? { pick, stars, note, at } : null;
    } catch {
      return null;
    }
  }

  // --- choosing -----------------------------------------------------------------------------------------

  const answer = (handle) => answers.get(handle) ?? NOTHING;

  function set(handle, change) {
    const now = answer(handle);
    const next = { ...now, ...change };
    if (['pick', 'stars', 'note'].every((name) => next[name] === now[name])) return;
    next.at = new Date().toISOString();
    answers.set(handle, next);
    keep(handle, JSON.stringify(next));
    draw(handle);
    count();
  }

  function draw(handle) {
    const { card, state, pick, reject, stars, note } = cards.get(handle);
    const now = answer(handle);
    card.dataset.pick = now.pick;
    state.textContent = { 1: '✓ picked', '-1': '✗ rejected', 0: '' }[now.pick];
    pick.setAttribute('aria-pressed', now.pick === 1);
    reject.setAttribute('aria-pressed', now.pick === -1);
    stars.forEach((star, index) => {
      star.textContent = index < now.stars ? '★' : '☆';
      star.classList.toggle('on', index < now.stars);
      star.setAttribute('aria-pressed', index + 1 === now.stars);
    });
    if (document.activeElement !== note) note.value = now.note;
  }

  function count() {
    const picks = data.clips.map(({ handle }) => answer(handle).pick);
    const of = (value) => picks.filter((pick) => pick === value).length;
    $('count').textContent = `${of(1)} picked, ${of(-1)} rejected, ${of(0)} open${answers.size && file() !== sent ? ' · not sent yet' : ''}`;
  }

  // --- cards --------------------------------------------------------------------------------------------

  function cardOf(clip) {
    const { handle } = clip;
    const name = `Shot ${clip.shot}, take ${clip.take}`;
    const video = el('video', { controls: '', loop: '', playsinline: '', preload: clip.poster ? 'none' : 'metadata', poster: clip.poster, src: clip.file + (clip.poster ? '' : '#t=0.1'), 'aria-label': `Film of ${name}`, width: clip.width, height: clip.height });
    if (clip.width && clip.height) video.style.aspectRatio = `${clip.width} / ${clip.height}`;
    video.addEventListener('play', () => {
      for (const other of document.querySelectorAll('video')) if (other !== video) other.pause();
    });
    const state = el('span', { class: 'state' });
    const pick = el('button', { type: 'button', text: '✓ Pick', 'data-do': 'p', run: () => set(handle, { pick: answer(handle).pick === 1 ? 0 : 1 }) });
    const reject = el('button', { type: 'button', text: '✗ Reject', 'data-do': 'x', run: () => set(handle, { pick: answer(handle).pick === -1 ? 0 : -1 }) });
    const stars = [1, 2, 3, 4, 5].map((number) => el('button', { type: 'button', text: '☆', 'aria-label': `${number} star${number > 1 ? 's' : ''}`, run: () => set(handle, { stars: answer(handle).stars === number ? 0 : number }) }));
    const note = el('textarea', { rows: 1, maxlength: 2000, placeholder: 'Note', 'aria-label': `Note about ${name}` });
    note.addEventListener('input', () => set(handle, { note: note.value }));
    const facts = clip.facts.map(([what, text]) => el('p', { class: what === 'Prompt' ? 'facts prompt' : 'facts', text: what === 'Prompt' ? text : `${what}: ${text}` }));
    const card = el('article', { class: 'clip', tabindex: 0, 'aria-label': name, 'data-handle': handle }, video,
      el('div', { class: 'body' }, el('h3', {}, el('span', { text: `Take ${clip.take}` }), state), ...facts,
        el('div', { class: 'decide', role: 'group', 'aria-label': 'Decide' }, pick, reject),
        el('div', { class: 'stars', role: 'group', 'aria-label': 'Stars' }, ...stars), note));
    card.addEventListener('keydown', (event) => press(event, clip));
    cards.set(handle, { card, state, pick, reject, stars, note, video });
    return card;
  }

  function press(event, clip) {
    const { card, note, video } = cards.get(clip.handle);
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target === note) {
      if (event.key === 'Escape') card.focus();
      return;
    }
    const key = event.key.toLowerCase();
    const keys = {
      p: () => set(clip.handle, { pick: 1 }), x: () => set(clip.handle, { pick: -1 }), u: () => set(clip.handle, { pick: 0 }),
      n: () => note.focus(), f: () => video.requestFullscreen?.(),
    };
    if (event.target === card) {
      keys[' '] = () => (video.paused ? video.play().catch(() => {}) : video.pause()); // another one may stop it at once
      for (const [name, step] of [['arrowright', 1], ['arrowleft', -1], ['arrowdown', columns()], ['arrowup', -columns()]]) keys[name] = () => move(card, step);
      keys.home = () => move(card, -Infinity);
      keys.end = () => move(card, Infinity);
    }
    const run = /^[0-5]$/.test(key) ? () => set(clip.handle, { stars: Number(key) }) : keys[key];
    if (!run) return;
    event.preventDefault();
    run();
  }

  const visible = () => [...document.querySelectorAll('.clip')].filter((card) => !card.closest('[hidden]'));

  function columns() {
    const first = visible()[0]?.parentElement;
    return first ? getComputedStyle(first).gridTemplateColumns.split(' ').length : 1;
  }

  function move(card, step) {
    const all = visible();
    const to = all[Math.max(0, Math.min(all.length - 1, all.indexOf(card) + step))];
    to.focus({ preventScroll: true });
    to.scrollIntoView({ block: 'nearest' });
  }

  function filter(show) {
    shown = show;
    for (const button of document.querySelectorAll('[data-show]')) button.setAttribute('aria-pressed', button.dataset.show === show);
    const fits = { all: () => true, open: (pick) => pick === 0, picked: (pick) => pick === 1, rejected: (pick) => pick === -1 }[show];
    for (const { handle } of data.clips) cards.get(handle).card.hidden = !fits(answer(handle).pick);
    for (const shot of document.querySelectorAll('.shot')) shot.hidden = !shot.querySelector('.clip:not([hidden])');
    $('empty').hidden = visible().length > 0;
  }

  // --- sending ------------------------------------------------------------------------------------------

  function file() {
    const found = [...answers].sort(([a], [b]) => (a < b ? -1 : 1));
    const name = $('name').value.trim().replace(/\s+/g, ' ');
    return `${JSON.stringify({ schema_version: 1, kind: 'batchgen-picks', report: data.report, reviewer: name, answers: Object.fromEntries(found) }, null, 1)}\n`;
  }

  function send() {
    const name = $('name').value.trim();
    if (!name || !answers.size) {
      $('said').textContent = name ? 'Nothing to send yet: pick, reject, rate or note a clip first.' : 'Write your name first.';
      if (!name) $('name').focus();
      return;
    }
    const text = file();
    const title = `picks-${name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '') || 'client'}.json`;
    const link = el('a', { href: URL.createObjectURL(new Blob([text], { type: 'application/json' })), download: title });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    $('said').textContent = `Saved ${title} (see your downloads). Send this file to whoever gave you this page.`;
    $('text').value = text;
    $('copy').hidden = false;
    sent = text;
    keep('sent', text);
    count();
  }

  async function copy() {
    $('text').select();
    try {
      await navigator.clipboard.writeText($('text').value);
    } catch {
      document.execCommand('copy');
    }
    $('said').textContent = 'Copied. Paste it into a mail.';
  }

  // --- the beginning ------------------------------------------------------------------------------------

  const shots = new Map();
  for (const clip of data.clips) shots.set(clip.shot, [...(shots.get(clip.shot) ?? []), clip]);
  for (const [shot, clips] of shots) {
    $('clips').append(el('section', { class: clips.length > 1 ? 'shot' : 'shot alone', 'aria-label': `Shot ${shot}` }, el('h2', { text: `Shot ${shot}` }), el('div', { class: 'takes' }, ...clips.map(cardOf))));
  }
  for (const { handle } of data.clips) {
    const found = parsed(read(handle));
    if (found) answers.set(handle, found);
    draw(handle);
  }
  keep('seen', '1');
  sent = read('sent') ?? '';
  $('name').value = read('name') ?? '';
  $('name').addEventListener('input', () => {
    keep('name', $('name').value);
    count();
  });
  for (const button of document.querySelectorAll('[data-show]')) button.addEventListener('click', () => filter(button.dataset.show));
  $('send').addEventListener('click', send);
  $('copied').addEventListener('click', copy);
  addEventListener('storage', ({ key, newValue }) => {
    const handle = key?.startsWith(prefix) ? key.slice(prefix.length) : '';
    const found = cards.has(handle) ? parsed(newValue) : null;
    if (!found) return;
    answers.set(handle, found);
    draw(handle);
    count();
  });
  addEventListener('beforeunload', (event) => {
    if (!kept && answers.size && file() !== sent) event.preventDefault();
  });
  addEventListener('keydown', (event) => {
    if (event.target === document.body && event.key.startsWith('Arrow') && visible().length) {
      event.preventDefault();
      move(visible()[0], 0);
    }
  });
  count();
})();
