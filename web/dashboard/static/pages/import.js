/** Imports files: choose them, see what will happen, have it done. */

import { entityName } from "../components/entities.js";
import { Choice } from "../components/field.js";
import { Columns, Preview, shorten } from "../components/import/columns.js";
import { DropZone, Queue, Template } from "../components/import/files.js";
import { Settings, sayEncoding } from "../components/import/settings.js";
import { Failure, Sending, Sent, Summary } from "../components/import/summary.js";
import { Loaded, Loading } from "../components/states.js";
import { DELIMITERS } from "../domain/delimiters.js";
import { ENCODINGS } from "../domain/encodings.js";
import { checkRows } from "../domain/rows.js";
import { CHECKED_ROWS } from "../domain/start.js";
import { path, read } from "../lib/api.js";
import { add, imports, isBusy, isOpen, remove, set } from "../lib/imports.js";
import { useLoad } from "../lib/load.js";
import { useStore } from "../lib/store.js";
import { t } from "../lib/texts.js";
import { html, useEffect, useMemo, useRef } from "../lib/ui.js";

export function Import() {
  const schemas = useLoad(loadSchemas, []);
  return html`
    <h1>${t("import.heading")}</h1>
    <${Loaded} load=${schemas}>${(loaded) => html`<${Importer} schemas=${loaded} />`}<//>
  `;
}

/** The JSON Schemas of the rows of all entities, by entity. */
async function loadSchemas(signal) {
  const { data } = await read("/entities", { signal });
  const names = data.map((entity) => entity.entityType);
  const schemas = await Promise.all(names.map((name) => read(path("entities", name), { signal })));
  return Object.fromEntries(names.map((name, place) => [name, schemas[place].data]));
}

function Importer({ schemas }) {
  const { entries, shown } = useStore(imports);
  const entry = entries.find((each) => each.id === shown);
  return html`
    <${DropZone} onFiles=${(files) => add(files, schemas)} small=${entries.length > 0} />
    ${entries.length === 0 && html`<${Template} schemas=${schemas} />`}
    ${entries.length > 1 && html`<${Queue} entries=${entries} shown=${shown} />`}
    <p role="status" class="hidden">${entries
      .filter((each) => each.state !== "ready")
      .map((each) => `${shorten(each.file.name, 40)}: ${t(`import.states.${each.state}`)}`)
      .join(". ")}</p>
    ${entry && html`<${Entry} key=${entry.id} entry=${entry} />`}
  `;
}

function Entry({ entry }) {
  const heading = useRef(null);
  const phase = isBusy(entry) ? "busy" : isOpen(entry) ? "open" : entry.state;
  // What was pressed is gone: the keyboard goes on from here.
  useEffect(() => {
    if (phase !== "reading") heading.current.focus();
  }, [phase]);
  return html`
    <section class="entry" aria-labelledby="entry">
      <h2 id="entry" tabindex="-1" ref=${heading}>${shorten(entry.file.name)}</h2>
      ${entry.state === "reading" && html`<${Loading} />`}
      ${
        entry.state === "refused" &&
        html`<${Failure} error=${entry.error} /><div class="buttons"><button type="button" onClick=${() => remove(entry.id)}>${t("import.otherFile")}</button></div>`
      }
      ${isBusy(entry) && html`<${Sending} entry=${entry} />`}
      ${entry.state === "sent" && html`<${Sent} entry=${entry} />`}
      ${isOpen(entry) && html`<${Ready} entry=${entry} />`}
    </section>
  `;
}

/** A file that can be sent, once all is said of it. */
function Ready({ entry }) {
  const { id, schemas, table, entityType, assigned, actionType, emptyCells } = entry;
  const schema = schemas[entityType];
  const faults = useMemo(() => {
    const openRow = table.openQuote ? table.rows.length - 1 : undefined;
    return checkRows(table.rows.slice(0, CHECKED_ROWS), assigned, schema, { actionType, emptyCells, openRow });
  }, [table, assigned, schema, actionType, emptyCells]);
  return html`
    <h3>${t("import.whatItIs")}</h3>
    <${Reading} entry=${entry} />
    <${Columns} entry=${entry} schema=${schema} />
    <h3>${t("import.preview")}</h3>
    <${Preview} entry=${entry} faults=${faults} />
    <h3>${t("import.whatToDo")}</h3>
    <${Settings} key=${id} entry=${entry} />
    <${Summary} entry=${entry} schema=${schema} faults=${faults} />
  `;
}

/** Whose rows they are, and how the file is written. */
function Reading({ entry }) {
  const { id, schemas, table, entityType, chosen } = entry;
  const marked = table.encodingSource === "mark";
  const declared = table.delimiterSource === "declared";
  return html`
    <div class="columns">
      <${Choice}
        label=${t("import.entity")}
        value=${entityType}
        options=${Object.keys(schemas).map((name) => [name, entityName(name)])}
        onChange=${(value) => set(id, { entityType: value })}
      />
      <${Choice}
        label=${t("import.encoding")}
        hint=${t(`import.encodingSource.${table.encoding === "utf-8" && table.encodingSource === "detected" ? "sure" : table.encodingSource}`)}
        value=${table.encoding}
        options=${ENCODINGS.map((name) => [name, sayEncoding(name)])}
        onChange=${(encoding) => set(id, { chosen: { ...chosen, encoding } })}
        disabled=${marked}
      />
      <${Choice}
        label=${t("import.delimiter")}
        hint=${t(`import.delimiterSource.${table.delimiterSource}`)}
        value=${table.delimiter}
        options=${Object.entries(DELIMITERS).map(([sign, word]) => [sign, t(`import.delimiters.${word}`)])}
        onChange=${(delimiter) => set(id, { chosen: { ...chosen, delimiter } })}
        disabled=${declared}
      />
    </div>
    ${table.ofResults && html`<p class="warning">${t("import.ofResults")}</p>`}
  `;
}
