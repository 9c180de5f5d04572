/** What is asked of a search, and what is made of its answers. */

/** The parameters of a search, as in the address of the page and of the route. */
export const PARAMETERS = [
  "q",
  "level",
  "type",
  "code",
  "status",
  "row",
  "recordId",
  "email",
  "from",
  "to",
  "entityType",
  "actionId",
];

/** Those of `PARAMETERS` that a query (`URLSearchParams`) has. */
export function askedIn(query) {
  return Object.fromEntries(
    PARAMETERS.map((name) => [name, (query.get(name) ?? "").trim()]).filter(([, value]) => value),
  );
}

/**
 * A text in parts, `[{ text, found }]`, some of which were looked for.
 *
 * @param {string} text
 * @param {number[][]} spans first character and the one behind the last, counted in characters of Unicode
 */
export function marked(text, spans) {
  const characters = Array.from(text);
  const parts = [];
  let end = 0;
  const add = (until, found) => {
    if (until > end) parts.push({ text: characters.slice(end, until).join(""), found });
    end = Math.max(end, until);
  };
  for (const [first, behind] of [...spans].sort((one, other) => one[0] - other[0])) {
    add(Math.min(first, characters.length), false);
    add(Math.min(behind, characters.length), true);
  }
  add(characters.length, false);
  return parts;
}

/** The day (UTC) after one, both such as `2026-11-23`. */
export function dayAfter(day) {
  return new Date(Date.parse(day) + 86_400_000).toISOString().slice(0, 10);
}

/**
 * How many of the events have which value, by facet: `{ code: [[value, count], …], … }`, the most frequent first.
 *
 * The index counts all that it has found; the ledger, what is on each page.
 */
export function facetsOf(answers) {
  const counted = answers[0].engine === "ledger" ? answers : answers.slice(0, 1);
  const facets = {};
  for (const { counts } of counted) {
    for (const [facet, values] of Object.entries(counts)) {
      facets[facet] ??= {};
      for (const [value, count] of Object.entries(values)) facets[facet][value] = (facets[facet][value] ?? 0) + count;
    }
  }
  return Object.fromEntries(
    Object.entries(facets).map(([facet, values]) => [
      facet,
      Object.entries(values).sort((one, other) => other[1] - one[1]),
    ]),
  );
}

/** How far the ledger was searched for all these answers; null: they come from an index. */
export function searchedIn(answers) {
  const pages = answers.map((answer) => answer.searched).filter(Boolean);
  if (pages.length === 0) return null;
  const sum = (name) => pages.reduce((total, page) => total + page[name], 0);
  const since =
    pages
      .map((page) => page.since)
      .filter(Boolean)
      .sort()[0] ?? null;
  return { actions: sum("actions"), chunks: sum("chunks"), since, complete: pages.at(-1).complete };
}
