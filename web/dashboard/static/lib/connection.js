/** Whether the server answers: a worker that restarts is a short notice, and what was asked for is asked again. */

import { Store } from "./store.js";

/** The moment (ms) since which nothing is answered; null while the server answers. */
export const lostSince = new Store(null);

/** Whether the server has another version of the page than the one that is shown. */
export const outdated = new Store(false);

export function answered() {
  if (lostSince.value === null) return;
  lostSince.set(null);
  // It was away, perhaps to be replaced.
  compareVersions();
}

export function lost() {
  if (lostSince.value === null) lostSince.set(Date.now());
}

const shown = versionIn(document.documentElement.innerHTML);

function versionIn(page) {
  return page.match(/assets\/([0-9a-f]{16})\//)?.[1];
}

async function compareVersions() {
  try {
    const page = await (await fetch(new URL(".", document.baseURI), { cache: "no-store" })).text();
    outdated.set(versionIn(page) !== shown);
  } catch {
    // It is away again, and will be asked when it is back.
  }
}

/** Resolves after `milliseconds`, at once when `signal` is aborted. */
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
  });
}

/** How long to wait before the `attempt`-th try (from 0), milliseconds: doubled up to 10 s, spread at random. */
export function backoff(attempt) {
  return Math.min(500 * 2 ** attempt, 10_000) * (0.75 + Math.random() / 2);
}
