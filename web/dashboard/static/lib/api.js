/** The public API, asked on behalf of the session. */

import { noteDate } from "./clock.js";
import { answered, backoff, lost, pause } from "./connection.js";
import { credentialHeaders, session, signOut } from "./session.js";

/** An answer that is an error: `{ status, code, message, errors, requestId, retryAfter }`, in the words of the server. */
export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    super(body?.message ?? body?.error ?? `HTTP ${status}`);
    this.status = status;
    this.code = body?.code ?? null;
    this.errors = body?.errors ?? [];
    this.requestId = body?.requestId ?? null;
    this.retryAfter = retryAfter;
    this.body = body;
  }
}

/** There was no answer. */
export class Unreachable extends Error {}

/** The address of a route: `url("/bulk-actions", { limit: 20 })`; what is empty in `query` is left out. */
export function url(path, query = {}) {
  // Relative to the page, which may stand behind a path of another server.
  const address = new URL(path.replace(/^\//, ""), document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") address.searchParams.set(name, value);
  }
  return address;
}

/** Joins parts of a path, each encoded: `path("bulk-actions", id)`. */
export const path = (...parts) => `/${parts.map(encodeURIComponent).join("/")}`;

/** What each answer was asked for with: a late refusal of one credential says nothing of the next one. */
const askedWith = new WeakMap();
const credential = () => JSON.stringify(credentialHeaders());

/**
 * Sends one request; returns the `Response`, whatever its status.
 *
 * @throws {Unreachable} there was no answer
 */
export async function send(address, options = {}) {
  const own = credential();
  const response = await reached(
    fetch(address, { ...options, headers: { ...credentialHeaders(), ...options.headers } }),
  );
  askedWith.set(response, own);
  answered();
  noteDate(response.headers.get("Date"));
  return response;
}

/** What comes of a request or of the body of its answer, which may break off. */
async function reached(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new Unreachable(error.message);
  }
}

/** Seconds after which an answer asks to be asked again; null where it does not say. */
export function retryAfter(response) {
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return Number.isNaN(seconds) ? null : seconds;
}

/** The error that a response is. A credential that is not taken any more ends the session. */
export async function errorOf(response) {
  const error = new ApiError(response.status, await response.json().catch(() => null), retryAfter(response));
  if (response.status === 401 && (askedWith.get(response) ?? credential()) === credential()) signOut(error);
  return error;
}

/**
 * Asks for something, and again as long as the server is away or has too much to do; returns `{ data, next }`.
 *
 * `next` is the cursor of the following page of a list. `reviver` is one of `JSON.parse`.
 *
 * @throws {ApiError} it is refused
 */
export async function read(route, { query, signal, reviver, attempts = Number.POSITIVE_INFINITY } = {}) {
  for (let attempt = 0; ; attempt += 1) {
    let wait = backoff(attempt);
    try {
      const response = await send(url(route, query), { signal });
      if (response.ok) {
        const text = await reached(response.text());
        return { data: text ? JSON.parse(text, reviver) : null, next: cursorOf(response) };
      }
      const error = await errorOf(response);
      const passes = error.status === 429 || error.status === 502 || error.status === 503 || error.status === 504;
      // A short wait is waited for; of a long one the user is told.
      if (!passes || attempt + 1 >= Math.min(attempts, 4) || (error.retryAfter ?? 0) > 10) throw error;
      wait = Math.max(wait, (error.retryAfter ?? 0) * 1000);
    } catch (error) {
      if (!(error instanceof Unreachable) || attempt + 1 >= attempts) throw error;
    }
    await pause(wait, signal);
    signal?.throwIfAborted();
  }
}

function cursorOf(response) {
  const next = /<([^>]*)>; rel="next"/.exec(response.headers.get("Link") ?? "")?.[1];
  return next ? new URL(next, document.baseURI).searchParams.get("cursor") : null;
}

/**
 * Has something changed, once: what may have been done is not asked for again by itself.
 *
 * @throws {ApiError} it is refused
 * @throws {Unreachable} there was no answer, and nobody knows whether it was done
 */
export async function change(method, route, { json, headers } = {}) {
  const body = json === undefined ? {} : { body: JSON.stringify(json) };
  const type = json === undefined ? {} : { "Content-Type": "application/json" };
  const response = await send(url(route), { method, ...body, headers: { ...type, ...headers } });
  if (!response.ok) throw await errorOf(response);
  return response.status === 204 ? null : reached(response.json());
}

/** Asks on whose behalf the page works, and opens the session; without a valid credential it is closed. */
export async function openSession(options) {
  try {
    const { data } = await read("/whoami", options);
    session.set({ state: "open", ...data });
  } catch (error) {
    if (error.status !== 401) throw error;
  }
}
