/** What is known of an action, from answers and events that may overtake each other. */

/** The statuses of an action, in the order of its life. */
export const STATUSES = ["OPEN", "SCHEDULED", "QUEUED", "PROCESSING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"];

export const ENDED = ["COMPLETED", "FAILED", "CANCELLED"];

export const hasEnded = (action) => ENDED.includes(action.status);

const COUNTS = [
  "processedCount",
  "successCount",
  "failureCount",
  "skippedCount",
  "duplicateCount",
  "createdCount",
  "updatedCount",
  "unchangedCount",
  "deletedCount",
];

/** An action, or an entry of the list, with what an answer or an event (`/stats`) says of it; the newer of both wins. */
export function merged(before, told) {
  if ((before.updatedAt ?? "") > (told.updatedAt ?? "")) return before;
  const both = { ...before, ...told };
  // The list has the counters as they are stored, behind those of the events.
  if (hasEnded(told) || told.processedCount >= before.processedCount) return both;
  return { ...both, ...Object.fromEntries(COUNTS.map((name) => [name, before[name]])) };
}

/** Rows per second (of `/stats`): of late while it runs and that is known, else since its start. */
export function speedOf(stats) {
  return stats.etaSeconds > 0 ? stats.pendingCount / stats.etaSeconds : stats.rowsPerSecond;
}

/** What may be done with an action by its status; the server decides. */
export function stepsOf(action) {
  switch (action.status) {
    case "SCHEDULED":
      return ["start", "reschedule", "cancel"];
    case "OPEN":
    case "QUEUED":
    case "PROCESSING":
      return ["pause", "cancel"];
    case "PAUSED":
      return ["resume", "cancel"];
    default:
      return action.failureCount > 0 ? ["retry", "delete"] : ["delete"];
  }
}
