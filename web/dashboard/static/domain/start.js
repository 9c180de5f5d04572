/** The start of a file, before it is sent: what it is, its encoding and delimiter, and its first rows. */

import { asUploaded, isOfResults, readRecords, restore } from "./csv.js";
import { declaredDelimiter, guessDelimiter } from "./delimiters.js";
import { guessEncoding, UTF_8, undefinedByte } from "./encodings.js";

/** How much of a file is looked at, bytes; and how many rows are checked. */
const SAMPLE = 256 * 1024;
export const CHECKED_ROWS = 200;

const KINDS = [
  [[0x50, 0x4b, 3, 4], "excel"],
  [[0xd0, 0xcf, 0x11, 0xe0], "excel"],
  [[0x25, 0x50, 0x44, 0x46], "pdf"],
];

/** A file that cannot be imported; `code` is one of the texts (`import.refused.…`). */
export class Unusable extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/**
 * Reads the first bytes of a file, unpacked.
 *
 * @param {Blob} file
 * @returns {Promise<{ bytes: Uint8Array, whole: boolean, packed: boolean, size: number }>} `size`: of the whole file,
 *   unpacked, bytes; estimated where not `whole`
 * @throws {Unusable} it is empty, unreadable or no text
 */
export async function readStart(file) {
  const start = await bytesOf(file.slice(0, SAMPLE)).catch(() => {
    throw new Unusable("unreadable");
  });
  if (start.length === 0) throw new Unusable("empty");
  const packed = start[0] === 0x1f && start[1] === 0x8b;
  const read = packed ? await unpackStart(file) : { bytes: start, whole: start.length === file.size, size: file.size };
  const kind = KINDS.find(([magic]) => magic.every((byte, place) => read.bytes[place] === byte));
  if (kind) throw new Unusable(kind[1]);
  if (read.bytes.length === 0) throw new Unusable("empty");
  return { ...read, packed };
}

async function bytesOf(blob) {
  return new Uint8Array(await blob.arrayBuffer());
}

/** Unpacks the start of a file, no more than is looked at: little may unpack to very much. */
async function unpackStart(file) {
  const reader = file.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  const parts = [];
  let size = 0;
  let whole = false;
  try {
    while (size < SAMPLE && !whole) {
      const { done, value } = await reader.read();
      whole = done;
      if (value) parts.push(value);
      size += value?.length ?? 0;
    }
  } catch {
    // Browsers unpack the first member of a file only; what is wrong behind it, the server will say.
    if (size === 0) throw new Unusable("gzip");
  }
  reader.cancel().catch(() => {});
  const bytes = await bytesOf(new Blob(parts));
  // The last four bytes are the size of what is packed (RFC 1952, 2.3.1), of the last member where there are several.
  const noted = new DataView((await bytesOf(file.slice(-4))).buffer).getUint32(0, true);
  return { bytes: bytes.slice(0, SAMPLE), whole: whole && size <= SAMPLE, size: whole ? size : Math.max(size, noted) };
}

/**
 * Reads the first rows of a file.
 *
 * @param {{ bytes: Uint8Array, whole: boolean, size: number }} start as of `readStart`
 * @param {{ encoding?: string, delimiter?: string }} chosen what the user says it is
 * @param {string[]} wanted names that the columns may have
 * @returns {object} `{ encoding, encodingSource, sure, delimiter, delimiterSource, names, rows, rowCount, exact,
 *   ofResults, openQuote, badByte }`: `sure` false: what follows may still show another encoding; `rowCount`: of the
 *   whole file, an estimate unless `exact`
 * @throws {Unusable} it is no text
 */
export function readTable(start, chosen, wanted) {
  const { bytes, whole } = start;
  const guess = guessEncoding(bytes, whole);
  const fixed = guess.source === "mark" && guess.name !== null;
  const encoding = fixed ? guess.name : (chosen.encoding ?? guess.name ?? "windows-1252");
  const encodingSource = fixed ? "mark" : chosen.encoding ? "given" : guess.name === null ? "unknown" : "detected";
  const text = new TextDecoder(encoding).decode(bytes, { stream: !whole });
  if (text.slice(0, SAMPLE / 4).includes("\0")) throw new Unusable("binary");
  const declared = declaredDelimiter(text);
  const { delimiter, source } =
    declared || !chosen.delimiter ? guessDelimiter(text, wanted) : { delimiter: chosen.delimiter, source: "given" };
  const table = text.slice(declared?.length ?? 0);
  const { records, ends, openQuote } = readRecords(table, delimiter);
  // The end of the sample may have cut the last record.
  if (!whole && (openQuote || !/[\r\n]$/.test(table))) {
    records.pop();
    ends.pop();
  }
  const [header, ...rows] = records;
  if (!header) throw new Unusable(whole ? "empty" : "noHeader");
  const written = header.map((name) => name.trim());
  const ofResults = isOfResults(written);
  const length = rows.length > 0 ? ends.at(-1) - ends[0] : 0;
  return {
    encoding,
    encodingSource,
    sure: !guess.ascii || whole || Boolean(chosen.encoding),
    delimiter,
    delimiterSource: source,
    names: ofResults ? written.map(restore) : written,
    rows: ofResults ? rows.map((row) => asUploaded(row, written)) : rows,
    rowCount: whole ? rows.length : estimate(rows.length, length, text.length, start.size / bytes.length),
    exact: whole,
    ofResults,
    openQuote: whole && openQuote,
    badByte: undefinedByte(bytes, encoding) >= 0,
  };
}

/** Rows of the whole file, by those of the sample; to three digits, as nobody knows more. */
function estimate(rows, length, sample, times) {
  if (rows === 0) return null;
  const count = (rows / length) * sample * times;
  const step = 10 ** Math.max(0, Math.floor(Math.log10(count)) - 2);
  return Math.round(count / step) * step;
}

/** Whether a file has to be turned into UTF-8 before it is sent. Packed ones are left to the server, which unpacks them. */
export const isConverted = (start, table) => table.encoding !== UTF_8 && !start.packed;
