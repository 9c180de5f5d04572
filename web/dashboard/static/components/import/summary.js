/** What will happen when the button is pressed; and what happens after that. */

import { isResultColumn } from "../../domain/csv.js";
import { obstaclesOf } from "../../domain/obstacles.js";
import { CHECKED_ROWS, isConverted, Unusable } from "../../domain/start.js";
import { bytes, duration, number, percent, time, utc } from "../../lib/format.js";
import { alike, cancel, hasArrived, momentOf, remove, set, start } from "../../lib/imports.js";
import { useEvery } from "../../lib/load.js";
import { href } from "../../lib/router.js";
import { session } from "../../lib/session.js";
import { t } from "../../lib/texts.js";
import { html, useId, useState } from "../../lib/ui.js";
import { Undecodable } from "../../lib/upload.js";
import { Confirm } from "../dialog.js";
import { entityName } from "../entities.js";
import { isPossible } from "../moment.js";
import { Problem } from "../states.js";
import { explain, nameOf, shorten } from "./columns.js";
import { sayEncoding, sayObstacle } from "./settings.js";

const SHOWN_FAULTS = 5;
const SHOWN_NAMES = 8;

/** @param {{ entry: object, schema: object, faults: object[] }} props `faults` as of `checkRows` */
export function Summary({ entry, schema, faults }) {
  const { id, table, actionType, entityType } = entry;
  const [asking, setAsking] = useState(false);
  const [together, setTogether] = useState(true);
  const checkbox = useId();
  const [, lookAgain] = useState(0);
  const obstacles = allObstacles(entry);
  const others = alike(entry);
  const begin = () => start(id, together ? others : []);
  function submit(event) {
    event.preventDefault();
    // A moment may have passed since.
    if (allObstacles(entry).length > 0) lookAgain(Date.now());
    else if (actionType === "BULK_DELETE") setAsking(true);
    else begin();
  }
  return html`
    <form class="panel forecast" onSubmit=${submit} aria-labelledby=${`${checkbox}-title`}>
      <h3 id=${`${checkbox}-title`}>${t("import.summary")}</h3>
      <p class="will">${sentence(entry)}</p>
      <ul>
        ${points(entry).map((text) => html`<li key=${text}>${text}</li>`)}
      </ul>
      <${Faults} entry=${entry} faults=${faults} />
      ${
        obstacles.length > 0 &&
        html`
          <div class="problem" id=${`${checkbox}-obstacles`}>
            <p>${t("import.notYet")}</p>
            <ul>${obstacles.map((each) => html`<li key=${each.code}>${sayObstacle(each)}</li>`)}</ul>
            <${OtherTypes} entry=${entry} schema=${schema} />
          </div>
        `
      }
      ${entry.error && html`<${Failure} error=${entry.error} />`}
      ${
        others.length > 0 &&
        html`
          <p class="option">
            <input type="checkbox" id=${checkbox} checked=${together} onChange=${(event) => setTogether(event.target.checked)} />
            <label for=${checkbox}>${t("import.together", { count: others.length })}</label>
          </p>
        `
      }
      <div class="buttons">
        <button type="submit" class=${actionType === "BULK_DELETE" ? "danger" : "primary"} disabled=${obstacles.length > 0} aria-describedby=${obstacles.length > 0 ? `${checkbox}-obstacles` : undefined}>
          ${entry.error ? t("app.tryAgain") : t(`import.press.${entry.schedule}`)}
        </button>
        <button type="button" onClick=${() => remove(id)}>${t("import.otherFile")}</button>
      </div>
      ${
        asking &&
        html`
          <${Confirm}
            title=${t("import.deleteTitle", { entity: entityName(entityType) })}
            text=${t("import.deleteText", { rows: rowsOf(table), entity: entityName(entityType) })}
            action=${t("import.press.delete")}
            danger
            perform=${async () => begin()}
            onClose=${() => setAsking(false)}
          />
        `
      }
    </form>
  `;
}

function allObstacles(entry) {
  const late = entry.schedule === "later" && !isPossible(entry.localTime);
  return [...obstaclesOf(entry, session.value.limits ?? {}), ...(late ? [{ code: "moment" }] : [])];
}

/** How many rows a file has, in words. */
export function rowsOf({ rowCount, exact }) {
  if (rowCount === null) return t("import.manyRows");
  return t(exact ? "import.rowCount" : "import.aboutRows", { count: rowCount, rows: number(rowCount) });
}

function sentence({ file, table, actionType, entityType }) {
  const values = { file: shorten(file.name, 80), entity: entityName(entityType), rows: rowsOf(table) };
  return t(`import.will.${actionType}`, { ...values, count: table.rowCount ?? 2 });
}

function listed(names) {
  const shown = names.slice(0, SHOWN_NAMES).join(", ");
  return names.length > SHOWN_NAMES ? t("import.andMore", { names: shown, count: names.length - SHOWN_NAMES }) : shown;
}

/** What else is worth knowing, a sentence each. */
function points(entry) {
  const { table, assigned, start: read, limitBy, limit } = entry;
  const leftOut = table.names.flatMap((name, column) =>
    assigned[column] || (table.ofResults && isResultColumn(name)) ? [] : [nameOf(table.names, column)],
  );
  const moment = momentOf(entry);
  return [
    table.ofResults && t("import.ofResults"),
    leftOut.length > 0 && t("import.leftOutColumns", { count: leftOut.length, names: listed(leftOut) }),
    isConverted(read, table) && t("import.converted", { encoding: sayEncoding(table.encoding) }),
    moment && t("import.startsAt", { time: time(moment), utc: utc(moment) }),
    limitBy !== "none" && limit && t(`import.pausesAt.${limitBy}`, { limit: number(Number(limit), 4) }),
  ].filter(Boolean);
}

function Faults({ entry, faults }) {
  const { table } = entry;
  const checked = Math.min(table.rows.length, CHECKED_ROWS);
  if (checked === 0) return null;
  const [wrong, doubled] = [faults.filter((fault) => !fault.skipped), faults.filter((fault) => fault.skipped)];
  const rows = (some) => new Set(some.map((fault) => fault.row)).size;
  const of = { checked: number(checked) };
  if (faults.length === 0) return html`<p class="good">${t("import.looksGood", { ...of, count: checked })}</p>`;
  return html`
    <div class="warning">
      ${wrong.length > 0 && html`<p>${t("import.lookWrong", { ...of, count: rows(wrong) })}</p>`}
      ${doubled.length > 0 && html`<p>${t("import.areDoubled", { ...of, count: rows(doubled) })}</p>`}
      <ul>
        ${[...wrong, ...doubled].slice(0, SHOWN_FAULTS).map(
          (fault) => html`
            <li key=${`${fault.row} ${fault.column}`}>
              ${sayFault(table, fault)}
            </li>
          `,
        )}
      </ul>
    </div>
  `;
}

function sayFault({ names, rows }, fault) {
  const of = { row: fault.row + 1, fault: explain(fault) };
  if (fault.column === null) return t("import.faultOfRow", of);
  const value = shorten(rows[fault.row][fault.column].trim(), 60);
  const column = nameOf(names, fault.column);
  return value ? t("import.fault", { ...of, column, value }) : t("import.faultOfEmpty", { ...of, column });
}

/** Where only optional fields are missing, other action types do without them. */
function OtherTypes({ entry, schema }) {
  const { id, actionType, assigned } = entry;
  const has = (field) => assigned.includes(field);
  if (actionType !== "BULK_UPDATE" || !has(schema.key) || Object.keys(schema.properties).every(has)) return null;
  const others = ["BULK_PATCH", ...(schema.required.every(has) ? ["BULK_CREATE"] : [])];
  return html`
    <p>${t("import.updateSetsAll")}</p>
    <div class="buttons">
      ${others.map((type) => html`<button key=${type} type="button" onClick=${() => set(id, { actionType: type })}>${t("import.insteadDo", { type: t(`types.${type}`) })}</button>`)}
    </div>
  `;
}

/** Why a file was not taken: what is wrong with it here, or in the words of the server. */
export function Failure({ error }) {
  if (error instanceof Unusable) return html`<div class="problem" role="alert"><p>${sayRefusal(error)}</p></div>`;
  if (error instanceof Undecodable)
    return html`<div class="problem" role="alert"><p>${t("import.undecodable", { line: error.line })}</p></div>`;
  return html`<${Problem} error=${error} />`;
}

export function sayRefusal({ code }) {
  return t(`import.refused.${code}`, { limit: bytes(session.value.limits?.maxUploadBytes) });
}

/** A file that is under way. */
export function Sending({ entry }) {
  const { id, file, state, progress, waiting } = entry;
  const total = progress?.total ?? 0;
  const share = total > 0 ? progress.done / total : 0;
  const arrived = hasArrived(entry);
  return html`
    <div class="panel">
      <p>${arrived ? t("import.arrived") : t(`import.doing.${state}`)}</p>
      ${
        (state === "uploading" || state === "converting") &&
        html`
          <progress aria-label=${t("import.progressOf", { name: file.name })} value=${share} max="1"></progress>
          <p class="number-line">${t("import.sent", { done: bytes(progress?.done ?? 0), total: bytes(total), percent: percent(share) })}${timeLeft(progress, share)}</p>
        `
      }
      ${state === "waiting" && html`<${Countdown} until=${waiting.until} /><p class="quiet">${waiting.error.message}</p>`}
      ${!arrived && html`<div class="buttons"><button type="button" onClick=${() => cancel(id)}>${t("import.cancelUpload")}</button></div>`}
    </div>
  `;
}

function timeLeft(progress, share) {
  const elapsed = (Date.now() - progress?.begun) / 1000;
  // Of the first moments nothing can be told.
  if (!(elapsed > 2) || share <= 0 || share >= 1) return "";
  return ` · ${t("import.timeLeft", { time: duration((elapsed / share) * (1 - share)) })}`;
}

function Countdown({ until }) {
  const [now, setNow] = useState(Date.now());
  useEvery(1, () => setNow(Date.now()));
  return html`<p class="countdown" role="timer">${t("import.waits", { time: duration(Math.max(0, until - now) / 1000) })}</p>`;
}

/** A file that has arrived, where others are still to come. */
export function Sent({ entry }) {
  const { action } = entry;
  const rows = t("import.rowCount", { count: action.totalCount ?? 0, rows: number(action.totalCount) });
  return html`
    <div class="panel">
      <p>${t("import.done", { rows, count: action.totalCount ?? 0 })}</p>
      <a class="button primary" href=${href(["actions", action.actionId])}>${t("import.watch")}</a>
    </div>
  `;
}
