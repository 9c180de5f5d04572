/** What an action is, in words, and its counters as a bar. */

import { hasEnded } from "../domain/progress.js";
import { number, percent } from "../lib/format.js";
import { t, textOr } from "../lib/texts.js";
import { html } from "../lib/ui.js";

export const statusName = (status) => textOr(`status.${status}`, status);

/** What is done with the rows of an action. */
export const actionTypeName = (actionType) => textOr(`types.${actionType}`, actionType);

/** What a list, or the title of its page, calls an action. */
export function actionName(action) {
  return action.fileName ?? t(action.fileSize > 0 ? "actions.unnamed" : "actions.overKafka");
}

export function Status({ status }) {
  return html`<span class=${`status ${status.toLowerCase()}`}>${statusName(status)}</span>`;
}

/**
 * The counters of an action (`stats` or an entry of the list) as a bar, with the same in words for those who do not see it.
 */
export function Progress({ counts, label }) {
  // Of one that is open nobody knows how many rows there will be.
  const known = counts.totalCount !== null;
  const total = counts.totalCount ?? counts.processedCount;
  const share = (count) => (total > 0 ? count / total : 0);
  const parts = [
    ["succeeded", counts.successCount],
    ["failed", counts.failureCount],
    ["skipped", counts.skippedCount],
    ["unprocessed", counts.unprocessedCount ?? 0],
  ];
  const done = hasEnded(counts) && total === 0 ? 1 : share(counts.processedCount + (counts.unprocessedCount ?? 0));
  const words = parts.map(([name, count]) => `${t(`counts.${name}`)} ${number(count)}`).join(", ");
  return html`
    <div
      class="bar"
      role="progressbar"
      aria-label=${label ?? t("counts.progress")}
      aria-valuemin="0"
      aria-valuemax="100"
      aria-valuenow=${known ? Math.floor(done * 100) : undefined}
      aria-valuetext=${known ? `${percent(done)}: ${words}` : words}
    >
      ${parts.map(([name, count]) => count > 0 && html`<span key=${name} class=${name} style=${{ width: `${share(count) * 100}%` }} title=${`${t(`counts.${name}`)}: ${number(count)}`}></span>`)}
    </div>
  `;
}
