/** What became of the rows so far: a bar, and the same in numbers. */

import { hasEnded, speedOf } from "../../domain/progress.js";
import { duration, number, percent } from "../../lib/format.js";
import { t } from "../../lib/texts.js";
import { html } from "../../lib/ui.js";
import { Progress } from "../status.js";

/** What can become of a row that is no failure, by what is done. */
const EXPECTED = {
  BULK_UPDATE: ["created", "updated", "unchanged"],
  BULK_CREATE: ["created"],
  BULK_PATCH: ["updated", "unchanged"],
  BULK_DELETE: ["deleted"],
};

export function Counters({ action }) {
  const expected = EXPECTED[action.actionType] ?? [];
  const shown = [
    ...["created", "updated", "unchanged", "deleted"]
      .filter((name) => expected.includes(name) || action[`${name}Count`] > 0)
      .map((name) => [name, "succeeded", action[`${name}Count`]]),
    ["duplicates", "skipped", action.skippedCount],
    ["failed", "failed", action.failureCount],
    ...(action.unprocessedCount > 0 ? [["unprocessed", "unprocessed", action.unprocessedCount]] : []),
    ...(action.totalCount === null || hasEnded(action) ? [] : [["pending", "pending", toDo(action)]]),
  ];
  return html`
    <p class="summary"><${Summary} action=${action} /></p>
    <${Progress} counts=${action} />
    <dl class="counters">
      ${shown.map(
        ([name, colour, count]) => html`
          <div key=${name}>
            <dt><span class=${`swatch ${colour}`}></span>${t(`counts.${name}`)}</dt>
            <dd>${number(count)}</dd>
          </div>
        `,
      )}
    </dl>
  `;
}

const toDo = (action) => action.totalCount - action.processedCount - (action.unprocessedCount ?? 0);

/** How far it is, how fast, and how long it takes. */
function Summary({ action }) {
  const total = action.totalCount;
  const done = action.processedCount;
  const parts = [
    total === null
      ? t("action.received", { count: action.stream?.receivedRows ?? done, done })
      : t("action.processed", { count: total, done, share: total > 0 ? percent(done / total) : percent(1) }),
  ];
  const speed = action.rowsPerSecond === undefined ? 0 : speedOf(action);
  if (speed > 0 && action.status !== "PAUSED") {
    parts.push(t(hasEnded(action) ? "action.meanSpeed" : "action.speed", { speed: number(speed, speed < 10 ? 1 : 0) }));
  }
  if (!hasEnded(action) && action.etaSeconds != null)
    parts.push(t("action.left", { time: duration(action.etaSeconds) }));
  if (action.startedAt && action.completedAt) {
    const took = (new Date(action.completedAt) - new Date(action.startedAt)) / 1000;
    parts.push(t("action.took", { time: duration(took) }));
  }
  return parts.map((part, index) => html`${index > 0 && " · "}<span key=${index}>${part}</span>`);
}
