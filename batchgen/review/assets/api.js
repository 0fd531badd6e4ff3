/** HTTP to the page's own server: the token, JSON in and out, and the addresses of films and pictures. */

const TOKEN = 'batchgen.token';

/** A refusal of the server: `status` as in HTTP, `body` as it came. */
export class ApiError extends Error {
  constructor(status, body) {
    super(body?.error?.message ?? `the server answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

/** Nobody answered: the server is gone, or the network is. */
export class OfflineError extends Error {}

/** Take the token from the address (`#TOKEN`) into this tab's memory, and out of what may be seen or bookmarked. */
function takeToken() {
  const fragment = location.hash.slice(1);
  if (fragment && !fragment.includes('=')) {
    sessionStorage.setItem(TOKEN, fragment);
    history.replaceState(null, '', location.pathname);
  }
  return sessionStorage.getItem(TOKEN) ?? '';
}

export class Api {
  constructor() {
    this.token = takeToken();
    this.batch = '';
  }

  /** Get the cookie for what a `<video>` asks for by itself. A server without a need for it may refuse: reads say why. */
  async begin() {
    if (this.token) await this.#ask('POST', '/api/session', {});
  }

  /** All batches of this server. */
  batches() {
    return this.#ask('GET', '/api/batches');
  }

  /** Read below `/api/b/NAME/`. @throws {ApiError|OfflineError} */
  get(path) {
    return this.#ask('GET', `/api/b/${encodeURIComponent(this.batch)}/${path}`);
  }

  /** Write below `/api/b/NAME/`. @throws {ApiError|OfflineError} */
  post(path, body) {
    return this.#ask('POST', `/api/b/${encodeURIComponent(this.batch)}/${path}`, body);
  }

  /** The address of a clip's film; the version makes what is cached safe. */
  fileUrl(clip) {
    const path = clip.file.includes('/') ? clip.file : `clips/${clip.file}`;
    return `${this.#media('files')}/${path.split('/').map(encodeURIComponent).join('/')}?v=${encodeURIComponent(clip.v)}`;
  }

  posterUrl(clip) {
    return `${this.#media('poster')}/${encodeURIComponent(clip.key)}?v=${encodeURIComponent(clip.v)}`;
  }

  /** Eight frames in one row. */
  stripUrl(clip) {
    return `${this.#media('strip')}/${encodeURIComponent(clip.key)}?v=${encodeURIComponent(clip.v)}`;
  }

  #media(kind) {
    return `/b/${encodeURIComponent(this.batch)}/${kind}`;
  }

  async #ask(method, path, body) {
    const headers = this.token ? { 'X-Batchgen-Token': this.token } : {};
    const sent = body === undefined ? undefined : JSON.stringify(body);
    if (sent !== undefined) headers['Content-Type'] = 'application/json';
    let response, text;
    try {
      response = await fetch(path, { method, headers, body: sent, signal: AbortSignal.timeout(20_000) });
      text = await response.text();
    } catch (error) {
      throw new OfflineError(String(error));
    }
    let answer = null;
    try {
      answer = JSON.parse(text);
    } catch {
      if (response.ok) throw new OfflineError('the answer was cut off');
    }
    if (!response.ok) throw new ApiError(response.status, answer);
    return answer;
  }
}
