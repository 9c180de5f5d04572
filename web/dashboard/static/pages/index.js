/**
 * The pages: the part of the address by which each is found, who may see it, and what it is called in the navigation.
 *
 * The modules of a page are fetched when it is first shown, and those of all others soon after the first: then none of
 * them waits, or fails with a server that is away.
 */

/**
 * `title` null: it is no entry of the navigation. `role`: who may see it. `parts`: of the address, at most. `load` brings
 * its component, which is kept as `component`.
 */
export const PAGES = [
  {
    name: "import",
    parts: 1,
    title: "import.title",
    role: "operator",
    load: async () => (await import("./import.js")).Import,
  },
  {
    name: "actions",
    parts: 1,
    title: "actions.title",
    role: "viewer",
    load: async () => (await import("./actions.js")).Actions,
  },
  { name: "actions", parts: 2, title: null, role: "viewer", load: async () => (await import("./action.js")).Action },
  {
    name: "search",
    parts: 1,
    title: "search.title",
    role: "viewer",
    load: async () => (await import("./search.js")).Search,
  },
  {
    name: "records",
    parts: 3,
    title: "records.title",
    role: "viewer",
    load: async () => (await import("./records.js")).Records,
  },
  {
    name: "dead-letters",
    parts: 1,
    title: "letters.title",
    role: "operator",
    load: async () => (await import("./dead_letters.js")).DeadLetters,
  },
  {
    name: "dead-letters",
    parts: 2,
    title: null,
    role: "operator",
    load: async () => (await import("./dead_letters.js")).Letter,
  },
  { name: "keys", parts: 1, title: "keys.title", role: "admin", load: async () => (await import("./keys.js")).Keys },
  {
    name: "workers",
    parts: 1,
    title: "workers.title",
    role: "admin",
    load: async () => (await import("./workers.js")).Workers,
  },
];

/** The page that is shown first. */
export const HOME = "import";

/** Brings the component of a page, once. */
export async function loaded(page) {
  page.component ??= await page.load();
  return page.component;
}

/** Brings what the other pages need, when the browser has nothing better to do. */
export function loadRest() {
  const whenIdle = window.requestIdleCallback ?? setTimeout;
  whenIdle(() => Promise.allSettled(PAGES.map(loaded)));
}
