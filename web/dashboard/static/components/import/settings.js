/** What is to be done with a file, when, and when it is to stop. */

import { limitObstacles } from "../../domain/obstacles.js";
import { set } from "../../lib/imports.js";
import { t } from "../../lib/texts.js";
import { html, useId } from "../../lib/ui.js";
import { Choice, Text } from "../field.js";
import { Moment } from "../moment.js";

const ACTION_TYPES = ["BULK_UPDATE", "BULK_CREATE", "BULK_PATCH", "BULK_DELETE"];
const EMPTY_CELLS = ["skip", "clear", "reject"];
const LIMITS = ["none", "number", "percent"];

/** What an encoding is called. */
export const sayEncoding = (encoding) => t(`import.encodings.${encoding.replaceAll("-", "")}`);

/** An obstacle in words. */
export function sayObstacle({ code, names, encoding, ...rest }) {
  const values = { ...rest, names: names?.join(", "), encoding: encoding && sayEncoding(encoding) };
  return t(`import.obstacles.${code}`, values);
}

export function Settings({ entry }) {
  const { id, actionType, emptyCells, limitBy, limit } = entry;
  const [limitObstacle] = limit === "" ? [] : limitObstacles(entry);
  return html`
    <${Options}
      legend=${t("import.actionType")}
      options=${ACTION_TYPES.map((type) => [type, t(`types.${type}`), t(`import.does.${type}`)])}
      value=${actionType}
      onChange=${(value) => set(id, { actionType: value })}
    />
    ${
      actionType === "BULK_PATCH" &&
      html`
        <${Choice}
          label=${t("import.emptyCells")}
          hint=${t("import.clearHint")}
          value=${emptyCells}
          options=${EMPTY_CELLS.map((each) => [each, t(`import.emptyCellsMean.${each}`)])}
          onChange=${(value) => set(id, { emptyCells: value })}
        />
      `
    }
    <div class="columns">
      <div>
        <${Options}
          legend=${t("import.when")}
          options=${[["now", t("import.now")], ["later", t("import.later")]]}
          value=${entry.schedule}
          onChange=${(schedule) => set(id, { schedule })}
        />
        ${entry.schedule === "later" && html`<${Moment} label=${t("import.moment")} value=${entry.localTime} onInput=${(localTime) => set(id, { localTime })} />`}
      </div>
      <div>
        <${Choice}
          label=${t("import.limit")}
          hint=${t(`import.limitHint.${limitBy}`)}
          value=${limitBy}
          options=${LIMITS.map((each) => [each, t(`import.limits.${each}`)])}
          onChange=${(value) => set(id, { limitBy: value })}
        />
        ${
          limitBy !== "none" &&
          html`
            <${Text}
              label=${t(`import.most.${limitBy}`)}
              error=${limitObstacle && sayObstacle(limitObstacle)}
              value=${limit}
              onInput=${(value) => set(id, { limit: value.replace(",", ".") })}
              inputmode=${limitBy === "percent" ? "decimal" : "numeric"}
              autocomplete="off"
              required
            />
          `
        }
      </div>
    </div>
  `;
}

/** A choice of one, each with what it means: `[[value, text, meaning], …]`. */
function Options({ legend, options, value, onChange }) {
  const id = useId();
  return html`
    <fieldset>
      <legend>${legend}</legend>
      ${options.map(
        ([each, text, meaning]) => html`
          <div class="option" key=${each}>
            <input type="radio" id=${`${id}-${each}`} name=${id} checked=${each === value} aria-describedby=${meaning ? `${id}-${each}-hint` : undefined} onChange=${() => onChange(each)} />
            <label for=${`${id}-${each}`}>${text}</label>
            ${meaning && html`<p class="hint" id=${`${id}-${each}-hint`}>${meaning}</p>`}
          </div>
        `,
      )}
    </fieldset>
  `;
}
