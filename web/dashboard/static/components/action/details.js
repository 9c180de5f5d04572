/** What an action is, and what has happened to it. */

import { DELIMITERS } from "../../domain/delimiters.js";
import { bytes, number, percent } from "../../lib/format.js";
import { t, textOr } from "../../lib/texts.js";
import { html } from "../../lib/ui.js";
import { entityName } from "../entities.js";
import { actionTypeName, Status } from "../status.js";
import { Time } from "../time.js";

/** Those who are nobody by name. */
const NAMELESS = { platform: "people.platform", "nobody in particular": "people.nobody" };

const person = (name) => (Object.hasOwn(NAMELESS, name) ? t(NAMELESS[name]) : (name ?? "–"));

export function Details({ action }) {
  const { stream } = action;
  const shown = [
    ["type", actionTypeName(action.actionType)],
    ["entity", entityName(action.entityType)],
    ["by", person(action.createdBy)],
    ["created", html`<${Time} at=${action.createdAt} />`],
    action.scheduledAt && ["scheduled", html`<${Time} at=${action.scheduledAt} />`],
    action.startedAt && ["started", html`<${Time} at=${action.startedAt} />`],
    action.completedAt && ["ended", html`<${Time} at=${action.completedAt} />`],
    !stream && ["size", bytes(action.fileSize)],
    !stream && [
      "encoding",
      understood(action.encoding.toUpperCase(), action.encodingSource, action.encodingConfidence),
    ],
    !stream && [
      "delimiter",
      understood(textOr(`delimiters.${DELIMITERS[action.delimiter]}`, action.delimiter), action.delimiterSource),
    ],
    action.emptyCells && ["emptyCells", textOr(`emptyCells.${action.emptyCells}`, action.emptyCells)],
    action.maxFailures && ["maxFailures", action.maxFailures],
    action.chunkCount !== null && ["chunks", number(action.chunkCount)],
    ...(stream ? of(stream) : []),
    action.ignoredColumns?.length > 0 && [
      "ignored",
      action.ignoredColumns.map((name) => html`<code key=${name}>${name}</code> `),
    ],
    action.expiresAt && ["expires", html`<${Time} at=${action.expiresAt} />`],
    ["id", html`<code>${action.actionId}</code>`],
    action.sha256 && ["digest", html`<code>${action.sha256}</code>`],
  ].filter(Boolean);
  return html`
    <section class="panel" aria-labelledby="details">
      <h2 id="details">${t("details.title")}</h2>
      <dl class="figures">
        ${shown.map(([name, value]) => html`<div key=${name}><dt>${t(`details.${name}`)}</dt><dd>${value}</dd></div>`)}
      </dl>
      ${action.mapping && html`<${Mapping} mapping=${action.mapping} />`}
    </section>
  `;
}

/** What something was taken for, and how that is known. */
function understood(what, source, confidence = null) {
  if (source === null) return what;
  const sure = confidence === null || confidence === 1 ? "" : `, ${percent(confidence)}`;
  return html`${what} <span class="quiet">(${textOr(`sources.${source}`, source)}${sure})</span>`;
}

/** What has come over Kafka. */
function of(stream) {
  return [
    ["receivedRows", number(stream.receivedRows)],
    ["receivedChunks", number(stream.receivedChunks)],
    stream.refusedChunks > 0 && ["refusedChunks", number(stream.refusedChunks)],
    stream.declaredRows !== null && ["declaredRows", number(stream.declaredRows)],
    stream.declaredChunks !== null && ["declaredChunks", number(stream.declaredChunks)],
    stream.closedBy !== null && ["closedBy", person(stream.closedBy)],
    stream.waitingSince !== null && ["waitingSince", html`<${Time} at=${stream.waitingSince} />`],
  ];
}

function Mapping({ mapping }) {
  return html`
    <details>
      <summary>${t("details.mapping")}</summary>
      <table>
        <thead><tr><th scope="col">${t("details.mappingColumn")}</th><th scope="col">${t("details.mappingField")}</th></tr></thead>
        <tbody>
          ${Object.entries(mapping).map(([column, field]) => html`<tr key=${column}><th scope="row">${column}</th><td>${field ?? t("details.leftOut")}</td></tr>`)}
        </tbody>
      </table>
    </details>
  `;
}

export function History({ history }) {
  return html`
    <section class="panel" aria-labelledby="history">
      <h2 id="history">${t("history.title")}</h2>
      <table class="list">
        <thead>
          <tr>
            <th scope="col">${t("history.status")}</th>
            <th scope="col">${t("history.at")}</th>
            <th scope="col">${t("history.by")}</th>
            <th scope="col">${t("history.reason")}</th>
          </tr>
        </thead>
        <tbody>
          ${history.map(
            ({ status, at, by, reason }, index) => html`
              <tr key=${index}>
                <th scope="row"><${Status} status=${status} /></th>
                <td data-label=${t("history.at")}><${Time} at=${at} /></td>
                <td data-label=${t("history.by")}>${person(by)}</td>
                <td data-label=${t("history.reason")}>${reason ?? "–"}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </section>
  `;
}
