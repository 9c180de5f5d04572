/** The failures of an action by what is wrong, and the outcome of each row. */

import { path, read } from "../../lib/api.js";
import { number } from "../../lib/format.js";
import { useLoad, usePages } from "../../lib/load.js";
import { t } from "../../lib/texts.js";
import { html, useState } from "../../lib/ui.js";
import { Choice } from "../field.js";
import { List, Loaded } from "../states.js";

const FIRST = 20;
const ALL = 500;
const PAGE = 50;

export function Failures({ action, onRows }) {
  const [limit, setLimit] = useState(FIRST);
  const ask = async (signal) => {
    const query = { limit };
    return (await read(path("bulk-actions", action.actionId, "failures"), { query, signal })).data;
  };
  // While it goes on, somebody has to ask for it: a great many rows may have to be looked at.
  const load = useLoad(ask, [action.actionId, action.status, limit]);
  if (action.failureCount === 0) return null;
  return html`
    <section class="panel" aria-labelledby="failures">
      <h2 id="failures">${t("failures.title")}</h2>
      <${Loaded} load=${load}>
        ${(data) => html`
          ${data.groups.length > 0 && html`<${Groups} data=${data} />`}
          ${data.examinedCount < data.failureCount && html`<p class="quiet">${t("failures.examined", { count: data.failureCount, examined: data.examinedCount })}</p>`}
          <div class="buttons">
            ${data.groupCount > data.groups.length && limit < ALL && html`<button type="button" onClick=${() => setLimit(ALL)}>${t("failures.more", { count: data.groupCount })}</button>`}
            ${data.failureCount < action.failureCount && html`<button type="button" onClick=${load.reload}>${t("failures.again", { count: action.failureCount - data.failureCount })}</button>`}
            <button type="button" onClick=${onRows}>${t("failures.rows")}</button>
          </div>
        `}
      <//>
    </section>
  `;
}

function Groups({ data }) {
  return html`
    <table class="list groups">
      <thead>
        <tr>
          <th scope="col">${t("failures.cause")}</th>
          <th scope="col">${t("failures.column")}</th>
          <th scope="col">${t("failures.value")}</th>
          <th scope="col" class="number">${t("failures.count")}</th>
          <th scope="col">${t("failures.first")}</th>
        </tr>
      </thead>
      <tbody>
        ${data.groups.map(
          (group, index) => html`
            <tr key=${index}>
              <th scope="row">${group.message}<span class="quiet code">${group.code}</span></th>
              <td data-label=${t("failures.column")}>${group.column ?? "–"}</td>
              <td data-label=${t("failures.value")}>
                ${group.value !== undefined ? html`<code>${group.value === "" ? t("failures.empty") : group.value}</code>` : group.otherValues ? t("failures.various") : "–"}
              </td>
              <td data-label=${t("failures.count")} class="number">${number(group.count)}</td>
              <td data-label=${t("failures.first")}>${group.rows.map((row) => number(row)).join(", ")}${group.count > group.rows.length && " …"}</td>
            </tr>
          `,
        )}
      </tbody>
    </table>
  `;
}

const STATUSES = ["SUCCESS", "FAILED", "SKIPPED"];

/** The rows of an action, page by page; `status` of those that are asked for. */
export function Rows({ action, status, onStatus, heading }) {
  const pages = usePages(path("bulk-actions", action.actionId, "records"), { status, limit: PAGE });
  const options = [["", t("app.all")], ...STATUSES.map((each) => [each, t(`rows.${each}`)])];
  return html`
    <section class="panel" aria-labelledby="rows">
      <div class="heading">
        <h2 id="rows" tabindex="-1" ref=${heading}>${t("rows.title")}</h2>
        <button type="button" onClick=${pages.reload}>${t("rows.reload")}</button>
      </div>
      <div class="filters"><${Choice} label=${t("rows.status")} value=${status} options=${options} onChange=${onStatus} /></div>
      <${List} pages=${pages} empty=${html`<p>${t("rows.none")}</p>`}>
        ${(rows) => html`
          <table class="list">
            <thead>
              <tr>
                <th scope="col">${t("rows.row")}</th>
                <th scope="col">${t("rows.outcome")}</th>
                <th scope="col">${t("rows.column")}</th>
                <th scope="col">${t("rows.message")}</th>
              </tr>
            </thead>
            <tbody>
              ${rows.map(
                (row) => html`
                  <tr key=${row.row}>
                    <th scope="row">${placeOf(row)}</th>
                    <td data-label=${t("rows.outcome")}>${t(`rows.${row.status}`)}<span class="quiet code">${row.code}</span></td>
                    <td data-label=${t("rows.column")}>${row.column ?? "–"}</td>
                    <td data-label=${t("rows.message")}>${row.message ?? "–"}</td>
                  </tr>
                `,
              )}
            </tbody>
          </table>
        `}
      <//>
    </section>
  `;
}

/** Which row it is: its number, or the chunk that it came with, and which it was in the file before. */
function placeOf(row) {
  const place = row.chunk === undefined ? number(row.row) : t("rows.place", { chunk: row.chunk, place: row.place });
  return row.originalRow === undefined
    ? place
    : html`${place}<span class="quiet">${t("rows.original", { row: row.originalRow })}</span>`;
}
