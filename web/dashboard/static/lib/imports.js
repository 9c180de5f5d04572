/**
 * The files that are to be imported, from the choice to the answer of the server. They stay while the user looks at other
 * pages, and are sent one after the other.
 *
 * An entry is `{ id, file, state, start, table, chosen, schemas, entityType, assigned, by, actionType, … }`; see `add`.
 */

import { fitness, mappingOf, matchColumns } from "../domain/columns.js";
import { DELIMITERS } from "../domain/delimiters.js";
import { UTF_8 } from "../domain/encodings.js";
import { fromField } from "../domain/moments.js";
import { isConverted, readStart, readTable, Unusable } from "../domain/start.js";
import { ApiError, read } from "./api.js";
import { pause } from "./connection.js";
import { newKey } from "./keys.js";
import { go, route } from "./router.js";
import { session } from "./session.js";
import { Store } from "./store.js";
import { toUtf8, upload } from "./upload.js";

/** `{ entries, shown }`: all files, and the id of the one that is shown. */
export const imports = new Store({ entries: [], shown: null });

/** States in which something goes on for which the page has to stay open. */
const BUSY = ["queued", "converting", "uploading", "waiting"];
export const isBusy = (entry) => BUSY.includes(entry.state);
/** Whether all of a file has been sent: from then on it is too late to keep it from the server. */
export const hasArrived = ({ state, progress }) => state === "uploading" && progress.done >= progress.total;
/** States in which a file can be looked at and changed. */
export const isOpen = (entry) => ["ready", "failed"].includes(entry.state);

/** Seconds for which an answer may ask us to wait before it is asked whether to go on. */
const LONGEST_WAIT = 15 * 60;

const SETTINGS = {
  actionType: "BULK_UPDATE",
  emptyCells: "skip",
  schedule: "now",
  localTime: "",
  limitBy: "none",
  limit: "",
};

let last = 0;
let working = false;
const aborts = new Map();

const find = (id) => imports.value.entries.find((entry) => entry.id === id);

function change(id, changes) {
  imports.update((all) => ({
    ...all,
    entries: all.entries.map((entry) => (entry.id === id ? { ...entry, ...changes } : entry)),
  }));
}

/** Shows one of the files. */
export function show(id) {
  imports.update((all) => ({ ...all, shown: id }));
}

/** Takes a file out of the list; what is under way is given up. */
export function remove(id) {
  aborts.get(id)?.abort();
  imports.update(({ entries, shown }) => {
    const others = entries.filter((entry) => entry.id !== id);
    return { entries: others, shown: shown === id ? (others.find(isOpen)?.id ?? others.at(-1)?.id ?? null) : shown };
  });
}

/**
 * Adds files, and reads what they begin with.
 *
 * @param {File[]} files
 * @param {Record<string, object>} schemas the JSON Schemas, by entity
 */
export async function add(files, schemas) {
  const added = files.map((file) => {
    last += 1;
    return { id: last, file, state: "reading", schemas, chosen: {}, progress: null, error: null, ...SETTINGS };
  });
  imports.update(({ entries, shown }) => ({
    entries: [...entries, ...added],
    shown: entries.some((entry) => entry.id === shown && isOpen(entry)) ? shown : (added[0]?.id ?? shown),
  }));
  for (const entry of added) await begin(entry);
}

async function begin({ id, file, schemas }) {
  const { maxUploadBytes } = session.value.limits ?? {};
  try {
    if (file.size > maxUploadBytes) throw new Unusable("tooLarge");
    const start = await readStart(file);
    const wanted = [...new Set(Object.values(schemas).flatMap((schema) => Object.keys(schema.properties)))];
    const table = readTable(start, {}, wanted);
    const alike = imports.value.entries.find((each) => each.id !== id && each.table && sameColumns(each.table, table));
    const taken = alike ? settingsOf(alike) : guess(table, schemas);
    change(id, { state: "ready", start, table, ...taken });
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    change(id, { state: "refused", error });
  }
}

const sameColumns = (one, other) => JSON.stringify(one.names) === JSON.stringify(other.names);

/** What was chosen for a file, as another one with the same columns can have it. */
function settingsOf(entry) {
  const { entityType, assigned, by, actionType, emptyCells, schedule, localTime, limitBy, limit } = entry;
  return { entityType, assigned, by, actionType, emptyCells, schedule, localTime, limitBy, limit };
}

/** The entity whose fields the columns fit best, and which is which. */
function guess(table, schemas) {
  const guesses = Object.entries(schemas).map(([entityType, schema]) => {
    const matched = matchColumns(table.names, table.rows.slice(0, 100), schema);
    return { entityType, matched, fit: fitness(table.names, matched, schema) };
  });
  const best = guesses.reduce((one, other) => (other.fit > one.fit ? other : one));
  return { entityType: best.entityType, ...assignment(best.matched) };
}

const assignment = (matched) => ({ assigned: matched.map(({ field }) => field), by: matched.map(({ by }) => by) });

/** Sets what is done with a file; other columns are matched anew where the change makes that necessary. */
export function set(id, changes) {
  const entry = { ...find(id), ...changes };
  if ("chosen" in changes) {
    try {
      entry.table = readTable(entry.start, entry.chosen, Object.keys(entry.schemas[entry.entityType].properties));
    } catch (error) {
      if (!(error instanceof Unusable)) throw error;
      change(id, { chosen: changes.chosen, error });
      return;
    }
  }
  const renamed = "chosen" in changes && !sameColumns(find(id).table, entry.table);
  if (renamed || "entityType" in changes) {
    const matched = matchColumns(entry.table.names, entry.table.rows.slice(0, 100), entry.schemas[entry.entityType]);
    Object.assign(entry, assignment(matched));
  }
  change(id, { ...entry, state: "ready", error: null });
}

/** Says which field a column is; the column that was it before is none then. */
export function assign(id, column, field) {
  const { assigned, by } = find(id);
  const free = assigned.map((each, at) => (at === column ? field : each === field ? "" : each));
  set(id, { assigned: free, by: by.map((each, at) => (at === column ? "user" : each)) });
}

/** The other files that wait with the same columns. */
export function alike(entry) {
  return imports.value.entries.filter(
    (each) => each.id !== entry.id && each.state === "ready" && sameColumns(each.table, entry.table),
  );
}

/** The moment for which a file is scheduled (ISO 8601); null: at once. */
export function momentOf({ schedule, localTime }) {
  return (schedule === "later" && fromField(localTime)) || null;
}

/** The fields of the form for a file. */
export function formOf(entry) {
  const { table, start, schemas, entityType, assigned, actionType, emptyCells, limitBy, limit } = entry;
  const mapping = mappingOf(table.names, assigned, Object.keys(schemas[entityType].properties));
  const moment = momentOf(entry);
  return {
    actionType,
    entityType,
    delimiter: DELIMITERS[table.delimiter],
    // Where all that was looked at is ASCII, what follows may be anything: then the server finds it out.
    ...(table.sure ? { encoding: isConverted(start, table) ? UTF_8 : table.encoding } : {}),
    ...(Object.keys(mapping).length > 0 ? { mapping: JSON.stringify(mapping) } : {}),
    ...(actionType === "BULK_PATCH" ? { emptyCells } : {}),
    ...(moment ? { scheduledAt: moment } : {}),
    ...(limitBy === "none" ? {} : { maxFailures: `${Number(limit)}${limitBy === "percent" ? "%" : ""}` }),
  };
}

/** Has a file sent, and others with the same settings. */
export function start(id, others = []) {
  const entry = find(id);
  change(id, { state: "queued", error: null });
  for (const other of others) change(other.id, { ...settingsOf(entry), state: "queued", error: null });
  const next = imports.value.entries.find((each) => each.state === "ready");
  if (next) show(next.id);
  work();
}

/** Stops a file that is under way; what was chosen for it is kept. */
export function cancel(id) {
  aborts.get(id)?.abort();
  change(id, { state: "ready", progress: null });
}

async function work() {
  if (working) return;
  working = true;
  for (;;) {
    const entry = imports.value.entries.find((each) => each.state === "queued");
    if (!entry) break;
    await send(entry);
  }
  working = false;
}

async function send({ id }) {
  const ends = new AbortController();
  aborts.set(id, ends);
  try {
    const action = await sendUntilAnswered(id, ends.signal);
    change(id, { state: "sent", action, progress: null });
    arrive(action);
  } catch (error) {
    // Whoever has stopped it knows.
    if (!ends.signal.aborted) change(id, { state: "failed", error, progress: null });
  } finally {
    aborts.delete(id);
  }
}

async function sendUntilAnswered(id, signal) {
  const fields = formOf(find(id));
  const key = keyOf(id, JSON.stringify(fields));
  // What was asked for before may have arrived, although no answer did.
  if (find(id).asked) {
    const known = await answerOf(key, signal);
    if (known) return known;
  }
  const blob = await utf8Of(id, signal);
  for (;;) {
    const begun = Date.now();
    change(id, { state: "uploading", asked: true, progress: { done: 0, total: blob.size, begun } });
    try {
      const onProgress = (done, total) => change(id, { progress: { done, total, begun } });
      return await upload(fields, { blob, name: find(id).file.name }, { key, signal, onProgress });
    } catch (error) {
      const passes = error instanceof ApiError && (error.status === 429 || error.status === 503);
      if (!passes || !error.retryAfter || error.retryAfter > LONGEST_WAIT) throw error;
      change(id, { state: "waiting", waiting: { until: Date.now() + error.retryAfter * 1000, error } });
      await pause(error.retryAfter * 1000, signal);
      signal.throwIfAborted();
    }
  }
}

/** The key of an import: another one for everything else that is asked for. */
function keyOf(id, asked) {
  const { keyed, table } = find(id);
  const said = `${asked} ${table.encoding}`;
  if (keyed?.said === said) return keyed.key;
  const key = newKey();
  change(id, { keyed: { said, key }, asked: false });
  return key;
}

/** What an upload was answered whose answer was lost; null: it has not arrived. */
async function answerOf(idempotencyKey, signal) {
  const { data } = await read("/bulk-actions", { query: { idempotencyKey }, signal, attempts: 2 });
  return data[0] ?? null;
}

async function utf8Of(id, signal) {
  const { file, start, table, converted } = find(id);
  // A file that has changed since it was chosen cannot be read any more.
  await file
    .slice(0, 1)
    .arrayBuffer()
    .catch(() => {
      throw new Unusable("unreadable");
    });
  if (!isConverted(start, table)) return file;
  if (converted?.encoding === table.encoding) return converted.blob;
  const onProgress = (done) => change(id, { state: "converting", progress: { done, total: file.size } });
  const blob = await toUtf8(file, table.encoding, { signal, onProgress });
  const { maxUploadBytes } = session.value.limits ?? {};
  if (blob.size > maxUploadBytes) throw new Unusable("tooLarge");
  change(id, { converted: { encoding: table.encoding, blob } });
  return blob;
}

/** A single file leads to what becomes of it; where there are several, the list has the links. */
function arrive(action) {
  const here = (route.value.parts[0] ?? "import") === "import";
  if (!here || imports.value.entries.length > 1) return;
  imports.set({ entries: [], shown: null });
  go(["actions", action.actionId]);
}

window.addEventListener("beforeunload", (event) => {
  if (imports.value.entries.some(isBusy)) event.preventDefault();
});

let owner = null;
session.subscribe(({ state, accountId }) => {
  // Who has to sign in again goes on; another account begins anew.
  if (state !== "open") return;
  if (owner !== null && owner !== accountId) {
    for (const ends of aborts.values()) ends.abort();
    imports.set({ entries: [], shown: null });
  }
  owner = accountId;
});
