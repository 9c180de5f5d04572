/** CSV as the server reads it: RFC 4180, with whatever stands behind a closing quote taken as text. */

/**
 * Splits a text into records, without those that have nothing but empty fields (blank lines among them).
 *
 * @param {string} text whole records
 * @param {string} delimiter one character
 * @param {number} [most] stop behind so many records
 * @returns {{ records: string[][], ends: number[], openQuote: boolean }} `ends`: where each record ends in the text;
 *   `openQuote`: the last one has a quote that is not closed
 */
export function readRecords(text, delimiter, most = Number.POSITIVE_INFINITY) {
  const stop = new RegExp(`[\\r\\n${delimiter === "\t" ? "\\t" : `\\${delimiter}`}]`, "g");
  const records = [];
  const ends = [];
  let record = [];
  let openQuote = false;
  let at = 0;
  while (at < text.length && records.length < most) {
    let field = "";
    if (text[at] === '"') {
      [field, at, openQuote] = readQuoted(text, at + 1);
    }
    stop.lastIndex = at;
    const end = openQuote ? at : (stop.exec(text)?.index ?? text.length);
    record.push(field + text.slice(at, end));
    at = end;
    if (text[at] === delimiter) {
      at += 1;
      if (at < text.length) continue;
      record.push("");
    } else if (at < text.length) {
      at += text[at] === "\r" && text[at + 1] === "\n" ? 2 : 1;
    }
    if (openQuote || record.some(Boolean)) {
      records.push(record);
      ends.push(at);
    }
    record = [];
  }
  return { records, ends, openQuote };
}

/** The text of a quoted field from `at` on, where it goes on behind the quote, and whether the quote is open. */
function readQuoted(text, at) {
  let field = "";
  for (let from = at; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0) return [field + text.slice(from), text.length, true];
    field += text.slice(from, quote);
    if (text[quote + 1] !== '"') return [field, quote + 1, false];
    field += '"';
    from = quote + 2;
  }
}

const ROW = "_row";
const CODE = "_code";
const RESULT_COLUMNS = [ROW, "_status", CODE, "_column", "_message", "_recordId"];
const DEFUSED = /^'+[=+\-@\t\r\n＝＋－＠]/;
/** Codes of rows that may have had fewer cells than the header, and were filled up. */
const FILLED_UP = ["WRONG_FIELD_COUNT", "UNTERMINATED_QUOTE"];

/** Whether a file with these columns is a results file that comes back. */
export const isOfResults = (names) => names.includes(ROW);

/** Whether a column of a results file is one that the file did not have which it was made of. */
export const isResultColumn = (name) => RESULT_COLUMNS.includes(name);

/** A cell without the apostrophe that has made it harmless for spreadsheets. */
export const restore = (cell) => (DEFUSED.test(cell) ? cell.slice(1) : cell);

/** A record of a results file as it was in the file which that was made of. */
export function asUploaded(record, names) {
  const cells = record.map(restore);
  const last = names.findLastIndex((name) => !isResultColumn(name));
  const filled = FILLED_UP.includes(cells[names.indexOf(CODE)]);
  return filled && cells.length === names.length && last >= 0 && !cells[last] ? cells.toSpliced(last, 1) : cells;
}
