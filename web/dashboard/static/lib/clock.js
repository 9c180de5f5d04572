/** The time as the server has it: the clock of the user's machine may be wrong. */

/** Milliseconds that are no difference: a `Date` header has whole seconds, and an answer takes its time. */
const SAME = 3000;

let ahead = 0;

/** Notes the `Date` header of an answer that has just come. */
export function noteDate(header) {
  const difference = Date.parse(header) - Date.now();
  if (!Number.isNaN(difference)) ahead = Math.abs(difference) < SAME ? 0 : difference;
}

/** The moment that it is now, milliseconds since 1970. */
export const now = () => Date.now() + ahead;
