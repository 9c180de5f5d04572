/** How many rows were done when, in stretches of equal length, which are doubled before there are too many of them. */

/** Stretches that are kept at most. */
const MOST = 240;
/** Over what speeds are levelled, because rows are counted by the chunk: milliseconds at least, and a share of all. */
const LEVELLED = 5000;
const SHARE = 1 / 20;

/** A timeline that begins at a moment (ms since 1970). */
export const timeline = (start) => ({ start, width: 1000, rows: [] });

/** Adds rows that were done between two moments (ms), evenly. What was before the beginning counts to its first moment. */
export function add(line, from, until, count) {
  const last = Math.max(until - line.start, 0);
  const first = Math.min(Math.max(from - line.start, 0), last);
  while (last >= MOST * line.width) halve(line);
  const [begin, end] = [Math.floor(first / line.width), Math.floor(last / line.width)];
  while (line.rows.length <= end) line.rows.push(0);
  for (let index = begin; index <= end; index += 1) {
    const covered = Math.min(last, (index + 1) * line.width) - Math.max(first, index * line.width);
    line.rows[index] += begin === end ? count : (count * covered) / (last - first);
  }
}

function halve(line) {
  line.width *= 2;
  line.rows = Array.from(
    { length: Math.ceil(line.rows.length / 2) },
    (_, index) => line.rows[2 * index] + (line.rows[2 * index + 1] ?? 0),
  );
}

/**
 * The speed over time, `{ times, speeds }`: seconds since the beginning, and rows per second then.
 *
 * @param {number} from moments (ms) before it are left out
 * @param {number} until the moment up to which something is known
 */
export function speedsOf(line, from, until) {
  const length = Math.floor((until - line.start) / line.width);
  const rates = Array.from(
    { length: Math.max(length, 0) },
    (_, index) => (line.rows[index] ?? 0) / (line.width / 1000),
  );
  const reach = Math.floor(Math.max(LEVELLED, (until - line.start) * SHARE) / line.width / 2);
  const times = [];
  const speeds = [];
  for (let index = Math.max(Math.ceil((from - line.start) / line.width), 0); index < rates.length; index += 1) {
    const around = rates.slice(Math.max(index - reach, 0), index + reach + 1);
    times.push(((index + 0.5) * line.width) / 1000);
    speeds.push(around.reduce((sum, rate) => sum + rate, 0) / around.length);
  }
  return { times, speeds };
}
