/** Where files are chosen or dropped, and the list of those that were. */

import { path } from "../../lib/api.js";
import { download } from "../../lib/downloads.js";
import { bytes, number } from "../../lib/format.js";
import { cancel, hasArrived, isBusy, remove, show } from "../../lib/imports.js";
import { tell } from "../../lib/notices.js";
import { href } from "../../lib/router.js";
import { t } from "../../lib/texts.js";
import { classes, html, useEffect, useId, useState } from "../../lib/ui.js";
import { entityName } from "../entities.js";
import { describe } from "../states.js";

const TYPES = ".csv,.tsv,.tab,.txt,.gz,text/csv,text/plain";

/** @param {{ onFiles: (files: File[]) => void, small: boolean }} props `small`: there are files already */
export function DropZone({ onFiles, small }) {
  const id = useId();
  const [over, setOver] = useState(false);
  useEffect(() => {
    // A file that is dropped beside the zone would replace the page.
    const hold = (event) => event.preventDefault();
    window.addEventListener("dragover", hold);
    window.addEventListener("drop", hold);
    return () => {
      window.removeEventListener("dragover", hold);
      window.removeEventListener("drop", hold);
    };
  }, []);
  function take(event, files) {
    event.preventDefault();
    setOver(false);
    if (files.length > 0) onFiles([...files]);
  }
  function chosen(event) {
    take(event, event.target.files);
    // The same file can be chosen again, after it was changed.
    event.target.value = "";
  }
  return html`
    <div
      class=${classes("drop", over && "over", small && "small")}
      onDragOver=${() => setOver(true)}
      onDragLeave=${() => setOver(false)}
      onDrop=${(event) => take(event, event.dataTransfer.files)}
    >
      ${!small && html`<p class="invitation">${t("import.dropHere")}</p>`}
      <input type="file" id=${id} class="hidden" multiple accept=${TYPES} aria-describedby=${`${id}-hint`} onChange=${chosen} />
      <label for=${id} class=${classes("button", !small && "primary")}>${t(small ? "import.furtherFiles" : "import.chooseFiles")}</label>
      <p class="hint" id=${`${id}-hint`}>${t("import.filesHint")}</p>
    </div>
  `;
}

/** An empty file with the columns of an entity, for whoever has none yet. */
export function Template({ schemas }) {
  const names = Object.keys(schemas);
  const [entityType, setEntityType] = useState(names[0]);
  const id = useId();
  const name = `${entityType}.csv`;
  function load() {
    download(path("entities", entityType, "template.csv"), {}, name).catch((error) => tell(describe(error), "problem"));
  }
  return html`
    <div class="template">
      <label for=${id}>${t("import.template")}</label>
      <div class="row">
        <select id=${id} value=${entityType} onChange=${(event) => setEntityType(event.target.value)}>
          ${names.map((each) => html`<option key=${each} value=${each} selected=${each === entityType}>${entityName(each)}</option>`)}
        </select>
        <button type="button" onClick=${load}>${t("import.downloadTemplate", { name })}</button>
      </div>
    </div>
  `;
}

/** All files, each with its state and what can be done with it. */
export function Queue({ entries, shown }) {
  return html`
    <section class="panel" aria-labelledby="queue">
      <h2 id="queue">${t("import.files", { count: entries.length })}</h2>
      <ul class="queue">
        ${entries.map((entry) => html`<${Waiting} key=${entry.id} entry=${entry} here=${entry.id === shown} />`)}
      </ul>
    </section>
  `;
}

function Waiting({ entry, here }) {
  const { id, file, state, action } = entry;
  const name = file.name;
  return html`
    <li class=${classes(here && "here")}>
      <span class="name">
        ${
          state === "sent"
            ? html`<a href=${href(["actions", action.actionId])}>${name}</a>`
            : html`<button type="button" class="plain" aria-current=${here ? "true" : undefined} onClick=${() => show(id)}>${name}</button>`
        }
        <span class="quiet">${bytes(file.size)}${action ? ` · ${t("import.rowCount", { count: action.totalCount ?? 0, rows: number(action.totalCount) })}` : ""}</span>
      </span>
      <span class=${classes("status", `import-${state}`)}>${t(`import.states.${state}`)}</span>
      ${
        isBusy(entry) && !hasArrived(entry)
          ? html`<button type="button" class="plain" aria-label=${t("import.cancelOf", { name })} onClick=${() => cancel(id)}>${t("app.cancel")}</button>`
          : !isBusy(entry) &&
            html`<button type="button" class="plain" aria-label=${t("import.removeOf", { name })} onClick=${() => remove(id)}>${t("import.remove")}</button>`
      }
    </li>
  `;
}
