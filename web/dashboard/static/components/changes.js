/** What rows of imports have done to records. */

import { number } from "../lib/format.js";
import { href } from "../lib/router.js";
import { t, textOr } from "../lib/texts.js";
import { html } from "../lib/ui.js";
import { entityName } from "./entities.js";
import { actionTypeName, Status } from "./status.js";
import { Time } from "./time.js";

/** @param {{ changes: object[] }} props entries of a history; those with an `entityType` are of several records */
export function Changes({ changes }) {
  const several = changes.some((change) => change.entityType);
  return html`
    <table class="list">
      <thead>
        <tr>
          <th scope="col">${t("changes.at")}</th>
          <th scope="col">${t("changes.what")}</th>
          ${several && html`<th scope="col">${t("changes.entity")}</th>`}
          <th scope="col">${t("changes.import")}</th>
          <th scope="col" class="number">${t("changes.row")}</th>
          <th scope="col">${t("changes.by")}</th>
        </tr>
      </thead>
      <tbody>${changes.map((change) => html`<${Change} key=${`${change.entityType} ${change.actionId} ${change.row}`} change=${change} several=${several} />`)}</tbody>
    </table>
  `;
}

function Change({ change, several }) {
  const { actionId, row, retryOf, originalRow } = change;
  return html`
    <tr>
      <th scope="row"><${Time} at=${change.at} /></th>
      <td data-label=${t("changes.what")}>${textOr(`changes.${change.code}`, change.code)}</td>
      ${several && html`<td data-label=${t("changes.entity")}>${entityName(change.entityType)}</td>`}
      <td data-label=${t("changes.import")}>
        <div>
          <a href=${href(["actions", actionId])}>${change.fileName ?? t("actions.unnamed")}</a> <${Status} status=${change.actionStatus} />
          <div class="quiet">
            ${actionTypeName(change.actionType)}${change.reason && html` · ${change.reason}`}
          </div>
        </div>
      </td>
      <td data-label=${t("changes.row")} class="number">
        <a href=${href(["search"], { actionId, row })}>${number(row)}</a>
        ${retryOf && html` <a class="quiet" href=${href(["search"], { actionId: retryOf, row: originalRow })}>${t("changes.originally", { row: originalRow })}</a>`}
      </td>
      <td data-label=${t("changes.by")}>${change.by ?? "–"}</td>
    </tr>
  `;
}
