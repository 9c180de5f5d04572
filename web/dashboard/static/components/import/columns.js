/** Which column is which field, and what the first rows look like. */

import { isResultColumn } from "../../domain/csv.js";
import { number } from "../../lib/format.js";
import { assign } from "../../lib/imports.js";
import { t } from "../../lib/texts.js";
import { classes, html, useState } from "../../lib/ui.js";

const SHOWN_ROWS = 10;
/** So many columns that are left out are shown with the others; a file may have hundreds. */
const SHOWN_COLUMNS = 20;
const SHOWN_CHARACTERS = 120;

/** A value as it is shown: a cell may have a hundred thousand characters. */
export function shorten(text, most = SHOWN_CHARACTERS) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** What a column is called: by its place where it has no name. */
export const nameOf = (names, column) => shorten(names[column] || t("import.unnamed", { number: column + 1 }), 60);

/** The columns that are worth a look, all that are a field among them. */
function visible({ table, assigned }, all) {
  let others = 0;
  return table.names.flatMap((name, column) => {
    if (table.ofResults && isResultColumn(name)) return [];
    if (!assigned[column]) others += 1;
    return all || assigned[column] || others <= SHOWN_COLUMNS ? [column] : [];
  });
}

/** Each column with its first values, and the field that it becomes. */
export function Columns({ entry, schema }) {
  const { id, table, assigned, by } = entry;
  const [all, setAll] = useState(false);
  const columns = visible(entry, all);
  const repeated = (column) =>
    table.names.filter((name) => name.toLowerCase() === table.names[column].toLowerCase()).length > 1;
  const required = (field) => schema.required.includes(field);
  const hidden =
    table.names.length - columns.length - (table.ofResults ? table.names.filter(isResultColumn).length : 0);
  return html`
    <table class="list matching">
      <thead>
        <tr><th scope="col">${t("import.column")}</th><th scope="col">${t("import.values")}</th><th scope="col">${t("import.becomes")}</th></tr>
      </thead>
      <tbody>
        ${columns.map(
          (column) => html`
            <tr key=${column} class=${classes(!assigned[column] && "left-out")}>
              <th scope="row">${nameOf(table.names, column)}</th>
              <td data-label=${t("import.values")}><span class="quiet">${valuesOf(table, column)}</span></td>
              <td data-label=${t("import.becomes")}><div>
                <select
                  aria-label=${t("import.becomesOf", { column: nameOf(table.names, column) })}
                  value=${assigned[column]}
                  disabled=${repeated(column)}
                  onChange=${(event) => assign(id, column, event.target.value)}
                >
                  <option value="" selected=${!assigned[column]}>${t("import.leaveOut")}</option>
                  ${Object.keys(schema.properties).map(
                    (field) => html`
                      <option key=${field} value=${field} selected=${assigned[column] === field}>
                        ${required(field) ? t("import.requiredField", { field }) : field}
                      </option>
                    `,
                  )}
                </select>
                ${repeated(column) && html`<span class="hint">${t("import.sameName")}</span>`}
                ${assigned[column] && ["synonym", "values"].includes(by[column]) && html`<span class="hint">${t(`import.by.${by[column]}`)}</span>`}
              </div></td>
            </tr>
          `,
        )}
      </tbody>
    </table>
    ${hidden > 0 && html`<button type="button" class="more" onClick=${() => setAll(true)}>${t("import.allColumns", { count: hidden })}</button>`}
  `;
}

function valuesOf(table, column) {
  const values = new Set(
    table.rows
      .slice(0, 50)
      .map((row) => row[column]?.trim())
      .filter(Boolean),
  );
  return (
    [...values]
      .slice(0, 3)
      .map((value) => shorten(value, 40))
      .join(" · ") || t("import.noValues")
  );
}

/** What is wrong with a row, in words. */
export function explain({ code, values, ...rest }) {
  return t(`check.${code}`, { ...rest, values: values?.slice(0, 8).join(", ") });
}

/** The first rows as they will be read, what is wrong with them in place. */
export function Preview({ entry, faults }) {
  const { table, assigned } = entry;
  const rows = table.rows.slice(0, SHOWN_ROWS);
  const columns = visible(entry, false);
  const faultOf = (row, column) => faults.find((fault) => fault.row === row && fault.column === column);
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${t("import.preview")}>
      <table class="preview">
        <thead>
          <tr>
            <th scope="col">${t("import.row")}</th>
            ${columns.map(
              (column) => html`
                <th key=${column} scope="col" class=${classes(!assigned[column] && "left-out")}>
                  ${nameOf(table.names, column)}
                  <span class="becomes">${assigned[column] ? `→ ${assigned[column]}` : t("import.leftOut")}</span>
                </th>
              `,
            )}
          </tr>
        </thead>
        <tbody>
          ${rows.map((cells, row) => {
            const whole = faultOf(row, null);
            return html`
              <tr key=${row}>
                <th scope="row" class=${classes(whole && "wrong")}>${number(row + 1)}${whole && html`<span class="error">${explain(whole)}</span>`}</th>
                ${columns.map((column) => {
                  const fault = faultOf(row, column);
                  return html`
                    <td key=${column} class=${classes(fault && (fault.skipped ? "skipped" : "wrong"), !assigned[column] && "left-out")}>
                      <span class="cell">${shorten(cells[column] ?? "")}</span>${fault && html`<span class="error">${explain(fault)}</span>`}
                    </td>
                  `;
                })}
              </tr>
            `;
          })}
        </tbody>
      </table>
    </div>
  `;
}
