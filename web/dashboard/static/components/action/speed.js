/** How fast the rows of an action are done, as a plot. */

import { hasEnded } from "../../domain/progress.js";
import { add, speedsOf, timeline } from "../../domain/timeline.js";
import { path, read } from "../../lib/api.js";
import { now } from "../../lib/clock.js";
import { duration, number } from "../../lib/format.js";
import { useEvery } from "../../lib/load.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useRef, useState } from "../../lib/ui.js";
import uPlot from "../../vendor/uplot.js";

/** Chunks up to which it is asked how fast they were done before the page was opened, and how many in one request. */
const MOST = 3000;
const PAGE = 500;
/** Points up to which a plot says nothing. */
const FEWEST = 4;
/** Rows of the table that says the same in numbers, about. */
const LINES = 12;
/** Distances of the marks on the axis of the time, seconds. */
const MARKS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21_600, 86_400];

export function Speed({ action }) {
  const { line, since } = useTimeline(action);
  const running = action.status === "PROCESSING" || action.status === "OPEN";
  const [, setSeen] = useState(0);
  useEvery(1, () => running && setSeen(now()));
  if (line === null || action.processedCount === 0) return null;
  const until = action.completedAt ? Date.parse(action.completedAt) : now();
  const { times, speeds } = speedsOf(line, since, until);
  if (times.length < FEWEST) return hasEnded(action) && html`<p class="quiet">${t("action.tooQuick")}</p>`;
  const mean = speeds.reduce((sum, speed) => sum + speed, 0) / speeds.length;
  const words = t("action.speedInWords", {
    mean: number(mean),
    most: number(Math.max(...speeds)),
    last: number(speeds.at(-1)),
  });
  return html`
    <figure>
      <figcaption>${t(since > line.start ? "action.speedSince" : "action.speedTitle")}</figcaption>
      <${Plot} times=${times} speeds=${speeds} label=${words} />
      <details>
        <summary>${t("action.inNumbers")}</summary>
        <p>${words}</p>
        <${Numbers} times=${times} speeds=${speeds} />
      </details>
    </figure>
  `;
}

function Numbers({ times, speeds }) {
  const step = Math.ceil(times.length / LINES);
  const shown = times.map((time, index) => [time, speeds[index]]).filter((_, index) => index % step === 0);
  return html`
    <table>
      <thead><tr><th scope="col">${t("action.sinceStart")}</th><th scope="col" class="number">${t("action.rowsPerSecond")}</th></tr></thead>
      <tbody>
        ${shown.map(([time, speed]) => html`<tr key=${time}><th scope="row">${duration(time)}</th><td class="number">${number(speed)}</td></tr>`)}
      </tbody>
    </table>
  `;
}

/**
 * What was done when: before the page was opened by the log of the action, from then on by its counters.
 *
 * `{ line, since }`: a timeline, null while it has not begun, and the moment from which on it knows.
 */
function useTimeline(action) {
  const [since, setSince] = useState(null);
  const line = useRef(null);
  const last = useRef(null);
  const started = action.startedAt !== null;
  useEffect(() => {
    if (!started) return undefined;
    const opened = now();
    const start = Date.parse(action.startedAt);
    line.current = timeline(start);
    last.current = { at: opened, count: action.processedCount };
    if (action.processedCount === 0) {
      setSince(start);
      return undefined;
    }
    if (action.chunkCount === null || action.chunkCount > MOST) {
      setSince(opened);
      return undefined;
    }
    const ends = new AbortController();
    pastChunks(action.actionId, ends.signal).then(
      (chunks) => {
        if (ends.signal.aborted) return;
        const until = action.completedAt ? Date.parse(action.completedAt) : opened;
        for (const { at, rows } of chunks) if (at <= until) add(line.current, at, at, rows);
        setSince(start);
      },
      () => ends.signal.aborted || setSince(opened),
    );
    return () => ends.abort();
  }, [started]);
  useEffect(() => {
    const before = last.current;
    if (before === null || action.processedCount <= before.count) return;
    const at = now();
    add(line.current, before.at, at, action.processedCount - before.count);
    last.current = { at, count: action.processedCount };
  }, [action.processedCount]);
  return { line: since === null ? null : line.current, since };
}

/** The chunks of an action that are done, `[{ at, rows }]`. */
async function pastChunks(actionId, signal) {
  const chunks = [];
  let cursor = null;
  do {
    const query = { type: "chunk.completed", limit: PAGE, cursor };
    const { data, next } = await read(path("bulk-actions", actionId, "logs"), { query, signal, attempts: 3 });
    chunks.push(...data.events.map((event) => ({ at: Date.parse(event.at), rows: event.counts.processedCount })));
    cursor = next;
  } while (cursor !== null);
  return chunks;
}

function Plot({ times, speeds, label }) {
  const host = useRef(null);
  const plot = useRef(null);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const draw = () => plot.current.redraw();
    const fit = new ResizeObserver(([{ contentRect }]) =>
      plot.current.setSize({ width: contentRect.width, height: HEIGHT }),
    );
    plot.current = new uPlot(options(host.current), [times, speeds], host.current);
    fit.observe(host.current);
    dark.addEventListener("change", draw);
    return () => {
      fit.disconnect();
      dark.removeEventListener("change", draw);
      plot.current.destroy();
    };
  }, []);
  useEffect(() => plot.current.setData([times, speeds]), [times.length, times.at(-1), speeds.at(-1)]);
  return html`<div class="plot" role="img" aria-label=${label} ref=${host}></div>`;
}

const HEIGHT = 180;

function options(host) {
  // Resolved by the browser, for the scheme that is on.
  const colour = (name) => () => getComputedStyle(host)[name];
  const axis = {
    stroke: colour("color"),
    grid: { stroke: colour("borderTopColor"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: host.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(most * 1.1, 1)] } },
    series: [{}, { stroke: colour("stroke"), fill: colour("fill"), width: 2, points: { show: false } }],
    axes: [
      { ...axis, incrs: MARKS, space: 70, size: 30, values: (_, marks) => marks.map(duration) },
      { ...axis, size: 60, values: (_, marks) => marks.map((mark) => number(mark, 1)) },
    ],
  };
}
