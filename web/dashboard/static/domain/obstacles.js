/** Why a file cannot be sent as it is set up, before the server has to say so. */

import { neededFields, repeatedColumns } from "./columns.js";
import { isResultColumn } from "./csv.js";

/**
 * @param {object} entry as of `lib/imports.js`
 * @param {{ maxColumns?: number }} limits of the server
 * @returns {object[]} `{ code, … }` for each obstacle: one of the texts (`import.obstacles.…`), with what that needs
 */
export function obstaclesOf(entry, limits) {
  const { table, schemas, entityType, assigned, actionType } = entry;
  const schema = schemas[entityType];
  const fields = Object.keys(schema.properties);
  const found = [];
  if (table.encodingSource === "unknown") found.push({ code: "unknownEncoding" });
  if (table.badByte) found.push({ code: "badByte", encoding: table.encoding });
  if (table.rows.length === 0 && table.exact) found.push({ code: "noRows" });
  const columns = table.names.length - (table.ofResults ? table.names.filter(isResultColumn).length : 0);
  if (columns > limits.maxColumns) found.push({ code: "columns", count: columns, limit: limits.maxColumns });
  const repeated = repeatedColumns(table.names, actionType === "BULK_DELETE" ? [schema.key] : fields);
  if (repeated.length > 0) found.push({ code: "repeated", count: repeated.length, names: repeated });
  const lacking = neededFields(schema, actionType).filter(
    (field) => !assigned.includes(field) && !repeated.includes(field),
  );
  if (lacking.length > 0) found.push({ code: "missing", count: lacking.length, names: lacking });
  if (actionType === "BULK_PATCH" && !assigned.some((field) => field && field !== schema.key))
    found.push({ code: "nothing" });
  return [...found, ...limitObstacles(entry)];
}

/** What is wrong with a limit on failures. */
export function limitObstacles({ limitBy, limit }) {
  if (limitBy === "none") return [];
  const number = Number(limit);
  if (limit.trim() === "" || !(number >= 0)) return [{ code: "noLimit" }];
  if (limitBy === "percent")
    return number < 100 && /^\d{1,2}(\.\d{1,4})?$/.test(String(number)) ? [] : [{ code: "badPercent" }];
  return Number.isInteger(number) && number < 1e9 ? [] : [{ code: "badNumber" }];
}
