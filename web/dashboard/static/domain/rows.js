/** What the first rows of a file will probably come to. */

import { checkValue } from "./values.js";

/** A cell that clears a field, whatever an empty one means. */
const CLEAR = "#N/A";

/**
 * Looks at rows as the server would.
 *
 * @param {string[][]} rows the cells
 * @param {string[]} assigned the field of each column, "" for none
 * @param {object} schema the JSON Schema of a row
 * @param {{ actionType: string, emptyCells: string, openRow?: number }} settings `openRow`: the row with a quote that is
 *   not closed
 * @returns {{ row: number, column: number | null, code: string, skipped: boolean }[]} what is wrong; of a row of which
 *   nothing is, what it repeats; `row` counts from 0, `column` null: it is the whole row; with what the texts need
 */
export function checkRows(rows, assigned, schema, settings) {
  const partial = settings.actionType === "BULK_PATCH";
  const keyOnly = settings.actionType === "BULK_DELETE";
  const unique = keyOnly ? [schema.key] : [schema.key, ...schema.unique];
  const columns = assigned.flatMap((field, column) => {
    const isKey = field === schema.key;
    return field && (isKey || !keyOnly) ? [{ field, column, isKey, schema: schema.properties[field] }] : [];
  });
  const seen = new Map(unique.map((field) => [field, new Map()]));
  return rows.flatMap((cells, row) => {
    if (row === settings.openRow) return [{ row, column: null, code: "openQuote", skipped: false }];
    if (cells.length !== assigned.length) {
      return [{ row, column: null, code: "width", cells: cells.length, columns: assigned.length, skipped: false }];
    }
    const wrong = columns.flatMap(({ column, field, isKey, schema: each }) => {
      const value = cells[column].trim();
      const required = schema.required.includes(field);
      const found =
        value && !(partial && value === CLEAR)
          ? checkValue(each, value, isKey)
          : checkEmpty(value, required, isKey ? null : partial && settings.emptyCells);
      return found ? [{ row, column, skipped: false, ...found }] : [];
    });
    return wrong.length > 0 ? wrong : duplicates(row, cells, columns, seen);
  });
}

/** `emptyCells`: what an empty cell means, where a row need not say everything. */
function checkEmpty(value, required, emptyCells) {
  if (emptyCells === "skip" && !value) return null;
  if (emptyCells === "reject" && !value) return { code: "empty" };
  if (!required) return null;
  return { code: emptyCells ? "cannotClear" : "required" };
}

function duplicates(row, cells, columns, seen) {
  const found = [];
  for (const { column, field, schema } of columns) {
    const value = schema.format === "email" ? cells[column].trim().toLowerCase() : cells[column].trim();
    const owners = seen.get(field);
    if (!owners || !value) continue;
    if (owners.has(value)) found.push({ row, column, code: "duplicate", owner: owners.get(value) + 1, skipped: true });
    else owners.set(value, row);
  }
  return found.slice(0, 1);
}
