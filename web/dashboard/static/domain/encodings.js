/** The encoding of a file by its first bytes; what the server would take it for, without its detector for other scripts. */

export const UTF_8 = "utf-8";
export const ENCODINGS = [UTF_8, "windows-1252", "iso-8859-15", "utf-16le", "utf-16be"];

const MARKS = [
  [[0xef, 0xbb, 0xbf], UTF_8],
  [[0xff, 0xfe], "utf-16le"],
  [[0xfe, 0xff], "utf-16be"],
];
const UTF_32_MARKS = [
  [0xff, 0xfe, 0, 0],
  [0, 0, 0xfe, 0xff],
];
const START = 64 * 1024;
const SAMPLE = 8 * 1024;
/** Bytes that windows-1252 does not have; browsers read control characters there, which no table has. */
const UNDEFINED_1252 = [0x81, 0x8d, 0x8f, 0x90, 0x9d];
const IS_UNDEFINED_1252 = Uint8Array.from({ length: 256 }, (_, byte) => (UNDEFINED_1252.includes(byte) ? 1 : 0));

const DIFFERENT = /[€ŠšŽžŒœŸ]/g;
const LIKE_LETTERS = /€|[a-zß-ÿ][šžœ]|[šžœ][a-zß-ÿ]|(?<!\p{L})[ŠŽŒŸ][a-zß-ÿ]/gu;

/**
 * Guesses the encoding of a file.
 *
 * @param {Uint8Array} bytes the start of the file, or all of it
 * @param {boolean} [whole] whether it is all of it
 * @returns {{ name: string | null, source: "mark" | "detected", ascii?: boolean }} `name` null: it is none that is
 *   taken, or shows nothing; `ascii`: it may still turn out to be another one
 */
export function guessEncoding(bytes, whole = true) {
  if (UTF_32_MARKS.some((mark) => startsWith(bytes, mark))) return { name: null, source: "mark" };
  const marked = MARKS.find(([mark]) => startsWith(bytes, mark));
  if (marked) return { name: marked[1], source: "mark" };
  const zeros = zerosOf(bytes.subarray(0, START));
  const [fewer, more] = zeros.toSorted((a, b) => a - b);
  if (fewer === 0 && more * 4 > Math.min(bytes.length, START)) {
    return { name: zeros[0] > zeros[1] ? "utf-16be" : "utf-16le", source: "detected" };
  }
  const sure = bytes.subarray(0, cutOf(bytes));
  // Whether a cut character is one of UTF-8 is told by what follows.
  const judged = whole && isAscii(sure) ? bytes : sure;
  if (isAscii(judged)) return { name: UTF_8, source: "detected", ascii: true };
  const { characters, broken } = countUtf8(judged);
  return { name: characters > broken ? UTF_8 : western(judged), source: "detected" };
}

/** Where the first byte is that an encoding does not have; -1: nowhere. (UTF-8 and UTF-16 are for the decoder.) */
export function undefinedByte(bytes, encoding) {
  if (encoding !== "windows-1252") return -1;
  // Every byte of a large file comes by here: one look at a table for each.
  for (let place = 0; place < bytes.length; place += 1) {
    if (IS_UNDEFINED_1252[bytes[place]] === 1) return place;
  }
  return -1;
}

function startsWith(bytes, mark) {
  return mark.every((byte, place) => bytes[place] === byte);
}

function zerosOf(bytes) {
  const zeros = [0, 0];
  for (let place = 0; place < bytes.length; place += 1) {
    if (bytes[place] === 0) zeros[place % 2] += 1;
  }
  return zeros;
}

const isAscii = (bytes) => bytes.every((byte) => byte < 0x80);

/** Where a character begins that the end of the bytes may have cut. */
function cutOf(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back];
    if (byte >= 0xc0) {
      const size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return byte >= 0xc2 && byte <= 0xf4 && back < size ? bytes.length - back : bytes.length;
    }
    if (byte < 0x80) break;
  }
  return bytes.length;
}

/** How many characters of UTF-8 beyond ASCII there are, and how many bytes that are part of none. */
function countUtf8(bytes) {
  let characters = 0;
  let broken = 0;
  for (let at = 0; at < bytes.length; ) {
    const size = bytes[at] < 0x80 ? 1 : sizeAt(bytes, at);
    if (size > 1) characters += 1;
    if (size === 0) broken += 1;
    at += size || 1;
  }
  return { characters, broken };
}

/** The bytes of the character that begins here (RFC 3629, section 4); 0: there is none. */
function sizeAt(bytes, at) {
  const first = bytes[at];
  let [size, low, high] = [0, 0x80, 0xbf];
  if (first >= 0xc2 && first <= 0xdf) size = 2;
  else if (first >= 0xe0 && first <= 0xef) {
    size = 3;
    if (first === 0xe0) low = 0xa0;
    if (first === 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    size = 4;
    if (first === 0xf0) low = 0x90;
    if (first === 0xf4) high = 0x8f;
  }
  if (size === 0 || !(bytes[at + 1] >= low && bytes[at + 1] <= high)) return 0;
  for (let next = 2; next < size; next += 1) {
    if ((bytes[at + next] & 0xc0) !== 0x80) return 0;
  }
  return size;
}

/** The encoding of text of the West that is not UTF-8; null: it shows nothing, or is of another script. */
function western(bytes) {
  const lines = beyondAscii(bytes);
  let beyond = 0;
  let inRuns = 0;
  let run = 0;
  for (const byte of [...lines, 0]) {
    if (byte >= 0x80) {
      beyond += 1;
      run += 1;
    } else {
      // Letters beyond ASCII stand alone in Western words, and side by side in those of other scripts.
      if (run >= 3) inRuns += run;
      run = 0;
    }
  }
  if (2 * inRuns > beyond) return null;
  const text = new TextDecoder("iso-8859-15").decode(lines);
  const different = text.match(DIFFERENT)?.length ?? 0;
  const likeLetters = text.match(LIKE_LETTERS)?.length ?? 0;
  if (different > 0 && different <= 2 * likeLetters && !/[\x80-\x9f]/.test(text)) return "iso-8859-15";
  return undefinedByte(lines, "windows-1252") < 0 ? "windows-1252" : null;
}

/** The lines that are not ASCII, up to `SAMPLE` bytes. */
function beyondAscii(bytes) {
  const lines = [];
  for (let start = 0; start < bytes.length && lines.length < SAMPLE; ) {
    const found = bytes.indexOf(10, start);
    const end = found < 0 ? bytes.length : found + 1;
    const line = bytes.subarray(start, end);
    if (!isAscii(line)) lines.push(...line.subarray(0, SAMPLE));
    start = end;
  }
  return Uint8Array.from(lines.slice(0, SAMPLE));
}
