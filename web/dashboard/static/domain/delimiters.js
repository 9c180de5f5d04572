/** The delimiter of a file: the one that it names itself, or that its rows show; by the same rules as the server's. */

import { readRecords } from "./csv.js";

/** The delimiters, each with the word by which a form names it; of equal guesses the first is taken. */
export const DELIMITERS = { ",": "comma", ";": "semicolon", "|": "pipe", "\t": "tab" };

/** How much of the start of a file a guess needs, bytes of UTF-8; and how many rows behind the header. */
const SAMPLE = 64 * 1024;
const ROWS = 50;

const DECLARATION = /^(?:sep=([,;|\t])|"sep=([,;|\t])")(?:\r\n|\r|\n|$)/i;

/**
 * The delimiter that the first line of a text names (`sep=;`), and the length of that line.
 *
 * @returns {{ delimiter: string, length: number } | null}
 */
export function declaredDelimiter(text) {
  const match = DECLARATION.exec(text.slice(0, '"sep=;"\r\n'.length));
  return match && { delimiter: match[1] ?? match[2], length: match[0].length };
}

/**
 * The delimiter that a file most probably has: the one with which the header has most of the wanted columns; then the
 * one with which most rows are as wide as the header; then the one that makes most columns.
 *
 * @param {string} text the start of the file, without a byte-order mark
 * @param {string[]} [wanted] names that the columns may have, in any case
 * @returns {{ delimiter: string, source: "declared" | "detected" | "default" }}
 */
export function guessDelimiter(text, wanted = []) {
  const declared = declaredDelimiter(text);
  if (declared) return { delimiter: declared.delimiter, source: "declared" };
  const sample = startOf(text);
  const names = new Set(wanted.map(caseFold));
  let best = null;
  for (const delimiter of Object.keys(DELIMITERS)) {
    const fit = fitOf(sample, delimiter, names);
    if (best === null || isBetter(fit, best.fit)) best = { delimiter, fit };
  }
  return best.fit[1] ? { delimiter: best.delimiter, source: "detected" } : { delimiter: ",", source: "default" };
}

/** A name as it is compared: whatever its case and the blanks around it. */
export const caseFold = (name) => name.trim().toUpperCase().toLowerCase();

function startOf(text) {
  const bytes = new TextEncoder().encode(text.slice(0, SAMPLE));
  if (bytes.length < SAMPLE) return text;
  const cut = bytes.slice(0, SAMPLE);
  // The end of the sample may cut a row in two.
  return new TextDecoder().decode(cut.slice(0, cut.lastIndexOf(10) + 1 || undefined));
}

/** How well a text fits a delimiter, compared from the first on. */
function fitOf(text, delimiter, wanted) {
  // A quote that is opened, and nothing else, is a row; of the columns it shows nothing.
  const filled = readRecords(text, delimiter, 1 + ROWS).records.filter((record) => record.some(Boolean));
  const [header = [], ...rows] = filled;
  const known = [...new Set(header.map(caseFold))].filter((name) => wanted.has(name)).length;
  const even = rows.length > 0 ? rows.filter((row) => row.length === header.length).length / rows.length : 1;
  return [known, header.length > 1 ? 1 : 0, even, header.length];
}

function isBetter(fit, best) {
  const place = fit.findIndex((value, index) => value !== best[index]);
  return place >= 0 && fit[place] > best[place];
}
